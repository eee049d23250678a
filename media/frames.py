"""Footage: a clip decoded once, at the few sizes that measuring needs.

Every frame is kept small and in colour, for cuts, motion, colour and time; a few frames are kept
as full-size luma, for what only shows there: blocks, blur, noise, faces. The scaler makes the small
ones while it converts, so no full-size colour picture is ever built.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float32]

SMALL_SIDE: Final = 160
"""The long side of the small frames; flow at this size costs about a millisecond."""
MAX_FRAMES: Final = 4_000
"""A minute at 60 frames a second and some: at most 175 MB of small frames."""
MAX_PIXELS: Final = 4096 * 2304
FULL_FRAMES: Final = 16
"""Most full-size luma frames that are kept of one clip."""
COLOUR_SIDE: Final = 640
_FULL_EVERY: Final = 8
_THREADS: Final = 2
_FALLBACK_RATE: Final = 25.0
_GUARD: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,gif,ogg,mpeg",
    "max_streams": "16",
    "enable_drefs": "0",
    "max_pixels": str(MAX_PIXELS),
}
"""A result comes from a host we do not own: it may name no other file and no network."""


class UnreadableFootageError(ValueError):
    """A clip cannot be decoded, or holds nothing to measure."""

    def __init__(self, why: str) -> None:
        super().__init__(why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """A decoded clip. Times start at 0; ``small`` is BGR, ``full`` is luma."""

    width: int
    height: int
    duration_ms: float
    times_ms: NDArray[np.float64]
    small: Pixels
    """Frames, rows, columns, 3."""
    full: tuple[Pixels, ...]
    full_at: tuple[int, ...]
    """Which frames the full-size ones are."""
    colour: tuple[Pixels, ...] = ()
    """The same frames in colour, the long side at most ``COLOUR_SIDE``; only when asked for."""
    damaged: bool = False
    """Decoding stopped early; what came before is here."""

    def __len__(self) -> int:
        return len(self.small)

    @property
    def fps(self) -> float:
        """Frames in a second, on average."""
        return 1000.0 * len(self) / self.duration_ms


_LEAST_SIDE: Final = 32
"""OpenCV's optical flow crashes, or never ends, on frames of fewer rows."""


def small_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the small frames, the long side ``SMALL_SIDE``.

    >>> small_size(720, 404)
    (160, 90)
    """
    scale = SMALL_SIDE / max(width, height)
    return max(_LEAST_SIDE, round(width * scale)), max(_LEAST_SIDE, round(height * scale))


def load(
    file: Path | int,
    *,
    size: tuple[int, int] | None = None,
    until_ms: float = math.inf,
    colour: bool = False,
) -> Footage:
    """Decode a clip, given by its path or as an open file by number.

    ``size`` forces the size of the small frames, to compare two clips; after ``until_ms`` nothing
    is decoded; ``colour`` keeps the sampled frames in colour too.

    Raises:
        UnreadableFootageError: no video, no frame, or more frames than ``MAX_FRAMES``.
    """
    try:
        with _opened(file) as container:
            if not container.streams.video:
                raise UnreadableFootageError("the file has no pictures")
            return _read(container, size, until_ms, colour=colour)
    except FFmpegError as error:
        raise UnreadableFootageError(f"the file cannot be decoded: {error.strerror}") from error
    except MemoryError as error:
        raise UnreadableFootageError("the file claims more than memory holds") from error


def _opened(file: Path | int) -> InputContainer:
    if isinstance(file, Path):
        return av.open(str(file), options=_GUARD)
    # a file by number names no other: there is no path to be relative to
    options = {**_GUARD, "fd": str(file), "protocol_whitelist": "fd"}
    return av.open("fd:", options=options)


def _read(
    container: InputContainer, size: tuple[int, int] | None, until_ms: float, *, colour: bool
) -> Footage:
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None or not 0 < context.width * context.height <= MAX_PIXELS:
        raise UnreadableFootageError("the picture size cannot be worked with")
    context.thread_type = "AUTO"
    context.thread_count = _THREADS
    size = size or small_size(context.width, context.height)
    rate = float(stream.average_rate or 0) or _FALLBACK_RATE
    expected = min(_expected_frames(stream, rate), until_ms * rate / 1000.0)
    every = max(_FULL_EVERY, math.ceil(expected / FULL_FRAMES))
    times: list[float] = []
    small: list[Pixels] = []
    full: list[Pixels] = []
    full_at: list[int] = []
    coloured: list[Pixels] = []
    damaged = False
    try:
        for frame in _bounded(container, stream):
            index = len(small)
            time = frame.time * 1000.0 if frame.time is not None else 1000.0 * index / rate
            if times and time - times[0] >= until_ms:
                break
            times.append(time)
            small.append(_bgr(frame, size))
            if index % every == every // 2 and len(full) < FULL_FRAMES:
                full.append(_luma(frame))
                full_at.append(index)
                if colour:
                    coloured.append(_bgr(frame, _within(frame.width, frame.height, COLOUR_SIDE)))
    except FFmpegError:
        damaged = True
    if not small:
        raise UnreadableFootageError("no frame can be decoded")
    # a result may carry times that run backwards
    stamps = np.maximum.accumulate(np.asarray(times) - times[0])
    return Footage(
        width=context.width,
        height=context.height,
        duration_ms=float(stamps[-1]) + _frame_ms(stamps, rate),
        times_ms=stamps,
        small=np.stack(small),
        full=tuple(full),
        full_at=tuple(full_at),
        colour=tuple(coloured),
        damaged=damaged,
    )


def _bounded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for count, frame in enumerate(container.decode(stream)):
        if count >= MAX_FRAMES:
            raise UnreadableFootageError(f"more than {MAX_FRAMES} frames")
        if frame.width * frame.height > MAX_PIXELS:
            raise UnreadableFootageError(f"a frame of {frame.width}x{frame.height} is too large")
        yield frame


def _expected_frames(stream: VideoStream, rate: float) -> int:
    """Return what the header claims; it only spaces the samples, so a lie costs nothing."""
    if stream.frames:
        return min(stream.frames, MAX_FRAMES)
    if stream.duration is None or stream.time_base is None:
        return 0
    return min(int(stream.duration * stream.time_base * rate), MAX_FRAMES)


def _frame_ms(stamps: NDArray[np.float64], rate: float) -> float:
    if len(stamps) < 2:
        return 1000.0 / rate
    return max(1.0, float(np.median(np.diff(stamps))))


def _within(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(width, height))
    return max(16, round(width * scale)), max(16, round(height * scale))


def _bgr(frame: VideoFrame, size: tuple[int, int]) -> Pixels:
    scaled = frame.reformat(width=size[0], height=size[1], format="bgr24", interpolation="AREA")
    return np.asarray(scaled.to_ndarray(), dtype=np.uint8)


def _luma(frame: VideoFrame) -> Pixels:
    return np.asarray(frame.reformat(format="gray").to_ndarray(), dtype=np.uint8)
