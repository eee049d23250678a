"""What travels along a graph's links: batches of images, sound, clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.float32]
"""One image or mask: height x width (x channels), nominally 0..1, not clamped."""
Bytes: TypeAlias = NDArray[np.uint8]
Frame: TypeAlias = Pixels | Bytes

UNSPECIFIED: Final = 2
"""The colour matrix of a clip that does not say; the number is FFmpeg's."""

# v / 255 in float32, as LoadImage computes it; a multiplication by 1/255 differs in the last bit
_LEVELS: Final = np.arange(256, dtype=np.float32) / np.float32(255)
_NOTHING: Final = np.empty(0, np.uint8)


class Batch:
    """Images or masks of one size, in order.

    Frames that come from 8-bit sources stay 8-bit until a node reads them: a level ``v`` means
    exactly ``v / 255``, so nothing is lost and a decoded clip takes a quarter of the memory.
    A batch may be spent: its last reader lets each frame go once it is worked, so that the next
    result takes over the memory instead of asking for more.
    """

    __slots__ = ("_frames", "height", "matrix", "spent", "width")

    def __init__(self, frames: Iterable[Frame], *, matrix: int = UNSPECIFIED) -> None:
        self._frames: list[Frame] = list(frames)
        self.height, self.width = self._frames[0].shape[:2]
        self.matrix = matrix
        """The colour matrix of the clip these came from, so that encoding can return to it."""
        self.spent = False

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Return the frames as they are stored."""
        return tuple(self._frames)

    @property
    def nbytes(self) -> int:
        """Return what the distinct frames occupy; a repeated frame is stored once."""
        return sum({id(frame): frame.nbytes for frame in self._frames}.values())

    def stored(self, index: int) -> Frame:
        """Return one frame as it is stored. The caller must not write to it."""
        return self._frames[index]

    def image(self, index: int) -> Pixels:
        """Return one frame in float32. The caller must not write to it."""
        return floats(self._frames[index])

    def images(self) -> Iterator[Pixels]:
        """Yield every frame in float32."""
        for frame in self._frames:
            yield floats(frame)

    def let_go(self, index: int) -> None:
        """Drop one frame; the batch cannot be read again from its start."""
        self.spent = True
        self._frames[index] = _NOTHING


class Audio(Struct, frozen=True, eq=False):
    """Sound as float32, channels first."""

    samples: NDArray[np.float32]
    rate: int


class Clip(Struct, frozen=True, eq=False):
    """A video: either a file that nobody decoded yet, or images with sound."""

    path: Path | None = None
    images: Batch | None = None
    fps: Fraction = Fraction(25)
    audio: Audio | None = None


Value: TypeAlias = Batch | Audio | Clip | float | int | str | None


def floats(frame: Frame) -> Pixels:
    """Return ``frame`` in float32, exactly as ``v / 255`` where it is 8-bit."""
    if frame.dtype == np.float32:
        return frame  # type: ignore[return-value]  # the dtype was just looked at
    return cv2.LUT(frame, _LEVELS)  # type: ignore[return-value]  # the table is float32


def truncated(frame: Frame) -> Bytes:
    """Return ``frame`` in 8 bit: clamped and cut off, never rounded, as SaveImage does."""
    if frame.dtype == np.uint8:
        return frame  # type: ignore[return-value]  # the dtype was just looked at
    scaled = frame * np.float32(255)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def payload(value: Value) -> tuple[Batch | Audio, ...]:
    """Return the parts of a value that take memory."""
    match value:
        case Batch() | Audio():
            return (value,)
        case Clip():
            return tuple(part for part in (value.images, value.audio) if part is not None)
        case _:
            return ()


def size_of(part: Batch | Audio) -> int:
    """Return the bytes a part occupies."""
    return part.nbytes if isinstance(part, Batch) else part.samples.nbytes
