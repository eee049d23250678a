"""Effects put on clips in known doses, and looks, to see whether analysis recognises them.

An effect takes frames and a strength, 0 weak to 2 strong, and returns as many frames of the same
size. A look takes one frame. Nothing here shares code with what looks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Frames = Sequence[Frame]
Effect = Callable[[Frames, int], list[Frame]]
Look = Callable[[Frame, float], Frame]
STRENGTHS: Final = 3


def clipped(values: NDArray[np.floating] | NDArray[np.integer]) -> Frame:
    """Return numbers as pixels."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _grey(frame: Frame) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.float32)


def _radius(frame: Frame) -> NDArray[np.float64]:
    """Return the distance from the middle, 1 in the corners."""
    rows, columns = frame.shape[:2]
    down, across = np.mgrid[0:rows, 0:columns]
    far = np.hypot((across - columns / 2) / (columns / 2), (down - rows / 2) / (rows / 2))
    return np.asarray(far / np.sqrt(2.0))


def _wide(frame: Frame) -> float:
    return float(max(frame.shape[:2])) / 640.0


# -- over time


def fade_in(frames: Frames, strength: int) -> list[Frame]:
    """Rise from black."""
    length = (8, 14, 22)[strength]
    return [clipped(f * min(1.0, i / length)) for i, f in enumerate(frames)]


def fade_out(frames: Frames, strength: int) -> list[Frame]:
    """Sink into black."""
    return fade_in(frames[::-1], strength)[::-1]


def flash(frames: Frames, strength: int) -> list[Frame]:
    """Light up for a frame or two."""
    found, at = list(frames), len(frames) // 2
    for index in range(at, at + (1, 2, 2)[strength]):
        f = found[index].astype(np.float32)
        found[index] = clipped(f + (255 - f) * (0.45, 0.65, 0.9)[strength])
    return found


def duplicated_frames(frames: Frames, strength: int) -> list[Frame]:
    """Show each picture two, three or four times."""
    times = (2, 3, 4)[strength]
    return [frames[i // times * times] for i in range(len(frames))]


def freeze(frames: Frames, strength: int) -> list[Frame]:
    """Stand still for a while."""
    held = min((14, 20, 26)[strength], 3 * len(frames) // 4)
    start = (len(frames) - held) // 2
    return [frames[start] if start <= i < start + held else f for i, f in enumerate(frames)]


# -- frame and surface


def letterbox(frames: Frames, strength: int) -> list[Frame]:
    """Lay black bars above and below."""
    bar = round(frames[0].shape[0] * (0.06, 0.1, 0.14)[strength])
    found = [frame.copy() for frame in frames]
    for frame in found:
        frame[:bar] = frame[-bar:] = 0
    return found


def vignette(frames: Frames, strength: int) -> list[Frame]:
    """Let the corners sink."""
    gain = 1 - (0.55, 0.7, 0.85)[strength] * _radius(frames[0]) ** 2.2
    return [clipped(f * gain[..., None]) for f in frames]


def film_grain(frames: Frames, strength: int) -> list[Frame]:
    """Lay new grain over every frame."""
    dice = np.random.default_rng(5)
    sigma = (7, 11, 17)[strength]
    return [clipped(f + dice.normal(0, sigma, f.shape[:2])[..., None]) for f in frames]


def soft_focus(frames: Frames, strength: int) -> list[Frame]:
    """Put the lens out of focus."""
    sigma = (2.0, 3.0, 4.5)[strength] * max(0.6, _wide(frames[0]))
    return [np.asarray(cv2.GaussianBlur(f, (0, 0), sigma), np.uint8) for f in frames]


def oversharpened(frames: Frames, strength: int) -> list[Frame]:
    """Draw halos around every edge."""
    amount = (1.6, 2.4, 3.6)[strength]
    found = []
    for f in frames:
        plain = f.astype(np.float32)
        found.append(clipped(plain + amount * (plain - cv2.GaussianBlur(plain, (0, 0), 1.2))))
    return found


def pixelate(frames: Frames, strength: int) -> list[Frame]:
    """Make a mosaic."""
    cells = (100, 64, 40)[strength]
    return [_mosaic(f, cells) for f in frames]


def _mosaic(frame: Frame, across: int) -> Frame:
    rows, columns = frame.shape[:2]
    tiny = (across, max(2, round(across * rows / columns)))
    small = cv2.resize(frame, tiny, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_NEAREST), np.uint8)


def posterize(frames: Frames, strength: int) -> list[Frame]:
    """Leave a few tones."""
    step = 256 / (8, 6, 4)[strength]
    return [clipped(np.floor(f / step) * step + step / 2) for f in frames]


def rgb_shift(frames: Frames, strength: int) -> list[Frame]:
    """Pull red and blue apart."""
    by = max(2, round((3, 5, 8)[strength] * _wide(frames[0])))
    found = []
    for f in frames:
        picture = f.copy()
        picture[..., 2] = np.roll(f[..., 2], by, axis=1)
        picture[..., 0] = np.roll(f[..., 0], -by, axis=1)
        found.append(picture)
    return found


def scanlines(frames: Frames, strength: int) -> list[Frame]:
    """Darken every second pair of lines."""
    dark = 1 - (0.18, 0.3, 0.5)[strength]
    gain = np.where(np.arange(frames[0].shape[0]) % 4 < 2, 1.0, dark)
    return [clipped(f * gain[:, None, None]) for f in frames]


def mirrored(frames: Frames, strength: int) -> list[Frame]:
    """Let one half be the other's reflection."""
    found = [f.copy() for f in frames]
    half = frames[0].shape[1] // 2
    tall = frames[0].shape[0] // 2
    for f in found:
        if strength != 1:
            f[:, -half:] = f[:, :half][:, ::-1]
        if strength != 0:
            f[-tall:] = f[:tall][::-1]
    return found


def bloom(frames: Frames, strength: int) -> list[Frame]:
    """Let light bleed into its surroundings."""
    return [dreamy(f, (0.8, 1.1, 1.5)[strength]) for f in frames]


def text_overlay(frames: Frames, strength: int) -> list[Frame]:
    """Write a line over the picture, with a dark outline."""
    found = [f.copy() for f in frames]
    rows, columns = frames[0].shape[:2]
    words = ("NEW YORK", "SUMMER 2026", "THE LAST DAY OF US")[strength]
    scale = columns / 640 * (1.0, 1.3, 1.6)[strength]
    face = cv2.FONT_HERSHEY_DUPLEX
    (wide, _), _ = cv2.getTextSize(words, face, scale, 2)
    place = ((columns - wide) // 2, round(rows * 0.86))
    for f in found:
        cv2.putText(f, words, place, face, scale, (0, 0, 0), max(4, round(6 * scale)), cv2.LINE_AA)
        cv2.putText(
            f, words, place, face, scale, (255, 255, 255), max(1, round(2 * scale)), cv2.LINE_AA
        )
    return found


# -- colour


def _each(look: Look, doses: tuple[float, float, float]) -> Effect:
    def made(frames: Frames, strength: int) -> list[Frame]:
        return [look(f, doses[strength]) for f in frames]

    return made


def cinematic_warm(frame: Frame, amount: float = 1.0) -> Frame:
    """Grade warm, with a little contrast."""
    graded = frame.astype(np.float32) * np.array([1 - 0.16 * amount, 1, 1 + 0.12 * amount])
    graded += np.array([-6.0, 0.0, 8.0]) * amount
    return clipped((graded - 120) * (1 + 0.06 * amount) + 120)


def cool(frame: Frame, amount: float = 1.0) -> Frame:
    """Grade toward blue."""
    graded = frame.astype(np.float32) * np.array([1 + 0.12 * amount, 1, 1 - 0.16 * amount])
    return clipped(graded + np.array([8.0, 1.0, -7.0]) * amount)


def monochrome(frame: Frame, amount: float = 1.0) -> Frame:
    """Take the colour out and put contrast in."""
    grey = (_grey(frame) - 110) * (1 + 0.15 * amount) + 110
    return np.repeat(clipped(grey)[..., None], 3, axis=2)


def sepia(frame: Frame, amount: float = 1.0) -> Frame:
    """Tone a grey picture brown."""
    grey = _grey(frame)
    toned = np.stack([grey * 0.72, grey * 0.9, grey * 1.06 + 6], axis=2)
    share = min(amount, 1.0)
    return clipped(toned * share + frame * (1 - share))


def low_key(frame: Frame, amount: float = 1.0) -> Frame:
    """Let the shadows sink."""
    return clipped(255 * (frame / 255.0) ** (1 + 0.8 * amount))


def high_key(frame: Frame, amount: float = 1.0) -> Frame:
    """Lift everything toward white."""
    return clipped(255 * (frame / 255.0) ** (1 / (1 + 0.7 * amount)) * 0.94 + 22 * amount)


def _saturated(frame: Frame, by: float) -> NDArray[np.float32]:
    grey = _grey(frame)[..., None]
    return np.asarray(grey + (frame - grey) * by, dtype=np.float32)


def vivid(frame: Frame, amount: float = 1.0) -> Frame:
    """Make colours loud."""
    return clipped((_saturated(frame, 1 + 0.8 * amount) - 125) * (1 + 0.08 * amount) + 125)


def muted(frame: Frame, amount: float = 1.0) -> Frame:
    """Wash colours and blacks out."""
    return clipped(_saturated(frame, 1 - 0.5 * amount) * (1 - 0.18 * amount) + 30 * amount)


def teal_orange(frame: Frame, amount: float = 1.0) -> Frame:
    """Push shadows toward teal, skin and light toward orange."""
    light = (_grey(frame) / 255.0)[..., None]
    shadow = np.array([16.0, 6.0, -20.0]) * (1 - light) ** 1.5
    high = np.array([-24.0, 3.0, 20.0]) * light**1.2
    return clipped(_saturated(frame, 1.1) + (shadow + high) * 1.3 * amount)


def dreamy(frame: Frame, amount: float = 1.0) -> Frame:
    """Lay a soft glow over the picture."""
    plain = frame.astype(np.float32)
    glow = cv2.GaussianBlur(plain, (0, 0), 9 * max(0.4, _wide(frame)))
    return clipped(255 - (255 - plain) * (255 - glow * min(0.55 * amount, 0.95)) / 255)


def toon(frame: Frame, amount: float = 1.0) -> Frame:
    """Draw flat colours with dark outlines."""
    flat = frame
    for _ in range(2 + round(amount)):
        flat = np.asarray(cv2.bilateralFilter(flat, 7, 40, 7), np.uint8)
    step = 24
    tones = (flat // step * step + step // 2).astype(np.uint8)
    grey = cv2.medianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), 5)
    lines = cv2.adaptiveThreshold(
        grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 6 - round(amount)
    )
    return np.asarray(cv2.bitwise_and(tones, tones, mask=lines), np.uint8)


def painterly(frame: Frame, amount: float = 1.0) -> Frame:
    """Lay patches of one colour, as a brush does: the least varied of four neighbourhoods."""
    reach = 2 + round(2 * amount * max(0.6, _wide(frame)))
    plain = frame.astype(np.float32)
    grey = _grey(frame)
    best: NDArray[np.float32] | None = None
    least: NDArray[np.float32] | None = None
    for down in (0, reach):
        for across in (0, reach):
            anchor, size = (across, down), (reach + 1, reach + 1)
            mean = cv2.blur(plain, size, anchor=anchor)
            one, two = (cv2.blur(grey**power, size, anchor=anchor) for power in (1, 2))
            spread = two - one**2
            if best is None or least is None:
                best, least = np.asarray(mean, np.float32), np.asarray(spread, np.float32)
                continue
            calmer = spread < least
            best = np.asarray(np.where(calmer[..., None], mean, best), np.float32)
            least = np.asarray(np.minimum(spread, least), np.float32)
    assert best is not None
    return clipped(best)


def pixelated(frame: Frame, amount: float = 1.0) -> Frame:
    """Make a mosaic."""
    return _mosaic(frame, round(72 / amount))


def vhs(frame: Frame, amount: float = 1.0) -> Frame:
    """Smear colours, part them, and dim every second line."""
    rows = frame.shape[0]
    lab = cv2.cvtColor(frame, cv2.COLOR_BGR2Lab)
    lab[..., 1:] = cv2.blur(lab[..., 1:], (round(9 * max(0.5, _wide(frame))), 3))
    picture = np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2BGR), np.uint8)
    by = max(1, round(3 * amount * max(0.5, _wide(frame))))
    parted = picture.copy()
    parted[..., 2] = np.roll(picture[..., 2], by, axis=1)
    parted[..., 0] = np.roll(picture[..., 0], -by, axis=1)
    gain = np.where(np.arange(rows) % 4 < 2, 1.0, 1 - 0.2 * amount)
    return clipped(parted * gain[:, None, None] + 8)


LOOKS: Final[tuple[Look, ...]] = (
    monochrome,
    sepia,
    low_key,
    high_key,
    vivid,
    muted,
    cinematic_warm,
    cool,
    teal_orange,
    dreamy,
    toon,
    painterly,
    pixelated,
    vhs,
)

EFFECTS: Final[dict[str, Effect]] = {
    "fade_in": fade_in,
    "fade_out": fade_out,
    "flash": flash,
    "duplicated_frames": duplicated_frames,
    "freeze": freeze,
    "letterbox": letterbox,
    "vignette": vignette,
    "film_grain": film_grain,
    "soft_focus": soft_focus,
    "oversharpened": oversharpened,
    "pixelate": pixelate,
    "posterize": posterize,
    "rgb_shift": rgb_shift,
    "scanlines": scanlines,
    "mirrored": mirrored,
    "bloom": bloom,
    "text_overlay": text_overlay,
    "monochrome": _each(monochrome, (0.5, 1.0, 2.0)),
    "sepia": _each(sepia, (0.8, 0.9, 1.0)),
    "color_grade_warm": _each(cinematic_warm, (1.2, 1.8, 2.6)),
    "color_grade_cool": _each(cool, (1.2, 1.8, 2.6)),
    "teal_orange": _each(teal_orange, (1.0, 1.5, 2.2)),
}
