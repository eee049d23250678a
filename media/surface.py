"""What only shows on the surface of frames: sharpness, halos, parted colours, lines, falloff.

All take full-size luma, or colour frames of ``media.frames.COLOUR_SIDE``, and answer with a number
that does not know what the picture shows.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from media.frames import Numbers, Pixels
from media.motion import Flow, carry_back

_SIDE: Final = 640
_TILE: Final = 16
_SHARPEST: Final = 0.06
"""Share of the tiles that sharpness is read in: a picture may be soft everywhere but there."""
_EDGE: Final = 2.0
_STRIPS: Final = 8
_LINE_FREQUENCY: Final = 0.12
"""Lines closer than eight rows; wider ones are things."""
_REACH: Final = 18
"""How many columns red and blue are looked for apart."""
_EVERY_ROW: Final = 3
_APART: Final = 0.02
_ALIKE: Final = 0.5
"""Less than this, red and blue edges are not the same edges anywhere."""
_SECTORS: Final = 8
_DARK: Final = 6
_ENOUGH: Final = 20
_STEEPEST: Final = 4.0
_GRAIN_FRAMES: Final = 8
_A_TONE: Final = 0.005
_FEWEST_TONES: Final = 3
"""Of fewer tones it cannot be said that they were more."""


def sharpness(luma: Pixels, side: int = _SIDE) -> float:
    """Return the finest detail against the next coarser one where it is strongest.

    About 0.2 to 0.5 in focus, less when blurred or enlarged, more than 0.6 with halos drawn.
    """
    picture = _within(luma, side).astype(np.float32)
    fine = picture - cv2.GaussianBlur(picture, (0, 0), 0.8)
    middle = cv2.GaussianBlur(picture, (0, 0), 0.8) - cv2.GaussianBlur(picture, (0, 0), 2.4)
    one, other = _tiles(np.abs(fine)), _tiles(np.abs(middle))
    if not other.size or float(other.max()) < _EDGE:
        return 0.0
    least = max(float(np.quantile(other, 1 - _SHARPEST)), 1.0)
    picked = other >= least
    return float(np.median(one[picked] / other[picked]))


def halos(luma: Pixels) -> float:
    """Return how far lines beside edges go beyond what lies around, against the edges."""
    picture = _within(luma, _SIDE).astype(np.float32)
    broad = cv2.GaussianBlur(picture, (0, 0), 1.5)
    kernel = np.ones((7, 7), np.uint8)
    high, low = cv2.dilate(broad, kernel), cv2.erode(broad, kernel)
    edge = high - low
    strong = edge > max(12.0, float(np.quantile(edge, 0.85)))
    if not strong.any():
        return 0.0
    beyond = np.maximum(picture - high, 0) + np.maximum(low - picture, 0)
    return float(beyond[strong].mean() / edge[strong].mean())


def parted(colour: Pixels) -> float:
    """Return how many columns red and blue edges lie apart, in columns of ``COLOUR_SIDE``."""
    if colour.shape[1] < 4 * _REACH:
        return 0.0
    blue, red = (_columns_of(colour[..., channel]) for channel in (0, 2))
    if float(np.abs(blue).mean()) < 0.3 or float(np.abs(red).mean()) < 0.3:
        return 0.0
    inner = blue[:, _REACH:-_REACH]
    width = inner.shape[1]
    alike = [_correlation(inner, red[:, at : at + width]) for at in range(2 * _REACH + 1)]
    best = int(np.argmax(alike))
    clear = alike[best] > _ALIKE and alike[best] - alike[_REACH] > _APART
    return float(abs(best - _REACH)) if clear else 0.0


def lines(luma: Pixels) -> float:
    """Return how strongly rows alternate in step from the left side to the right, in tones."""
    rows, columns = luma.shape
    if rows < 32 or columns < _STRIPS * 4:
        return 0.0
    plain = luma.astype(np.float32)
    profiles = np.stack([s.mean(axis=1) for s in np.array_split(plain, _STRIPS, axis=1)])
    profiles -= cv2.blur(profiles, (9, 1))
    waves = np.fft.rfft(profiles * np.hanning(rows), axis=1) * (4.0 / rows)
    from_here = max(2, round(_LINE_FREQUENCY * rows))
    together = np.abs(waves.mean(axis=0))[from_here:]
    apart = np.abs(waves).mean(axis=0)[from_here:]
    at = int(np.argmax(together))
    return float(together[at] * together[at] / max(float(apart[at]), 1e-6))


def symmetry(luma: Pixels) -> float:
    """Return how well one half is the other's reflection, sideways or upside down, -1..1."""
    tiny = _within(luma, 160).astype(np.float32)
    rough = tiny - cv2.GaussianBlur(tiny, (0, 0), 4)
    halves = []
    for picture in (rough, rough.T):
        half = picture.shape[1] // 2
        halves.append(_correlation(picture[:, :half], picture[:, -half:][:, ::-1]))
    return max(halves)


def falloff(still: Numbers) -> float:
    """Return how fast light falls toward the corners, in all directions.

    ``still`` is the mean luma of a clip. The slope of the logarithm along the radius is as often
    up as down in a plain picture, a vignette pulls it down everywhere; after Zheng, Yu, Kang, Lin
    and Kambhamettu, "Single-image vignetting correction using radial gradient symmetry" (2008).
    A picture that is dark all around a thing has far steeper slopes, and 0 is returned.
    """
    rows, columns = still.shape
    smooth = np.log(cv2.GaussianBlur(still, (0, 0), 1.5) + 2).astype(np.float32)
    down, across = np.mgrid[0:rows, 0:columns]
    x, y = across - columns / 2, down - rows / 2
    far = np.hypot(x, y) + 1e-6
    slope = cv2.Sobel(smooth, cv2.CV_32F, 1, 0) * x + cv2.Sobel(smooth, cv2.CV_32F, 0, 1) * y
    slope *= np.hypot(columns / 2, rows / 2) / far / 8
    ring = np.hypot(x / (columns / 2), y / (rows / 2)) / np.sqrt(2.0)
    outside = (ring > 0.45) & (ring < 0.97) & (still > _DARK)
    sector = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * _SECTORS).astype(int) % _SECTORS
    each = [slope[outside & (sector == at)] for at in range(_SECTORS)]
    falls = sorted(-float(np.median(one)) for one in each if one.size > _ENOUGH)
    if len(falls) < _SECTORS - 1:
        return 0.0
    middle = -float(np.median(slope[outside]))
    return middle + 0.7 * falls[1] if middle < _STEEPEST else 0.0


def grain(small: Pixels) -> float:
    """Return how much the calmest parts of grey frames twinkle from frame to frame, in tones.

    Texture moves with what it is on and is gone in the difference of a frame to its neighbours,
    moved to where it is; grain is new in every frame.
    """
    found = []
    flow = Flow()
    for at in range(1, len(small) - 1, max(1, len(small) // _GRAIN_FRAMES)):
        here, sides = small[at], (small[at - 1], small[at + 1])
        # fine texture that flow gets wrong is told by standing still, and the other way round
        moved = [carry_back(side, flow.between(here, side)) for side in sides]
        twinkles = [_twinkle(here, one, other) for one, other in (sides, moved)]
        if None not in twinkles:
            found.append(min(each for each in twinkles if each is not None))
    return float(np.median(found)) if found else 0.0


def _twinkle(here: Pixels, before: Pixels | Numbers, after: Pixels | Numbers) -> float | None:
    middle = here.astype(np.float32)
    rest = middle - (before.astype(np.float32) + after.astype(np.float32)) / 2
    rest -= cv2.GaussianBlur(rest, (0, 0), 2)
    spread, light = (
        _tiled(rest.astype(np.float32)).std(axis=(1, 3)),
        _tiled(middle).mean(axis=(1, 3)),
    )
    honest = spread[(light > 20) & (light < 235)]
    return float(np.percentile(honest, 15)) if honest.size > 5 else None


def tones(luma: Pixels) -> float:
    """Return the share of the lit pixels whose tone stands out of its neighbours, 0..1."""
    counts = np.bincount(luma.ravel(), minlength=256)[20:236].astype(np.float64)
    if counts.sum() < 0.1 * luma.size:
        return 0.0
    shares = counts / counts.sum()
    if int((shares > _A_TONE).sum()) < _FEWEST_TONES:
        return 0.0
    smooth = np.convolve(np.pad(shares, 8, mode="reflect"), np.ones(17) / 17, "valid")
    return float(np.abs(shares - smooth).sum()) / 2


def _columns_of(channel: Pixels) -> Numbers:
    plain = cv2.GaussianBlur(channel, (3, 3), 0).astype(np.float32)
    return np.asarray(cv2.Sobel(plain, cv2.CV_32F, 1, 0)[::_EVERY_ROW] / 4)


def _correlation(one: Numbers, other: Numbers) -> float:
    a, b = one - one.mean(), other - other.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / size if size > 1e-6 else 0.0


def _tiles(values: Numbers) -> Numbers:
    return np.asarray(_tiled(values, _TILE).mean(axis=(1, 3)).ravel())


def _tiled(values: Numbers, side: int = 8) -> Numbers:
    rows, columns = (length // side * side for length in values.shape)
    return values[:rows, :columns].reshape(rows // side, side, columns // side, side)


def _within(luma: Pixels, side: int) -> Pixels:
    scale = side / max(luma.shape)
    if scale >= 1:
        return luma
    size = (round(luma.shape[1] * scale), round(luma.shape[0] * scale))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
