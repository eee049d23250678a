"""What travels along a graph's links: batches of images, sound, clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Final, Protocol, TypeAlias, TypeVar

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gpu_agent.renderer.nodes.lengths import Count, Length

Pixels: TypeAlias = NDArray[np.float32]
"""One image or mask: height x width (x channels), nominally 0..1, not clamped."""
Bytes: TypeAlias = NDArray[np.uint8]
Frame: TypeAlias = Pixels | Bytes

UNSPECIFIED: Final = 2
"""The colour matrix of a clip that does not say; the number is FFmpeg's."""

# v / 255 in float32, as LoadImage computes it; a multiplication by 1/255 differs in the last bit
_LEVELS: Final = np.arange(256, dtype=np.float32) / np.float32(255)


class Batch(ABC):
    """Images or masks of one size, in order, in memory or not.

    Frames that come from 8-bit sources stay 8-bit until a node reads them: a level ``v`` means
    exactly ``v / 255``, so nothing is lost and a decoded clip takes a quarter of the memory.
    """

    length: Length
    shape: tuple[int, ...]
    """Height, width and, for images, channels."""
    frame_nbytes: int
    """What one frame occupies."""
    matrix: int
    """The colour matrix of the clip these came from, so that encoding can return to it."""

    @abstractmethod
    def stored(self, index: int) -> Frame:
        """Return one frame as it comes. The caller must not write to it."""

    def __len__(self) -> int:
        return self.length.total()

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return self.shape[1]

    def image(self, index: int) -> Pixels:
        """Return one frame in float32. The caller must not write to it."""
        return floats(self.stored(index))

    def frames(self) -> Iterator[Frame]:
        """Yield every frame as it comes."""
        for index in count():
            if not self.length.has(index):
                return
            yield self.stored(index)

    def around(self, index: int) -> Pixels:
        """Return a frame of the batch repeated without end."""
        return self.image(index if self.length.has(index) else index % len(self))

    def at_most(self, index: int) -> Pixels:
        """Return a frame, or the last one beyond the end."""
        return self.image(index if self.length.has(index) else len(self) - 1)


class Held(Batch):
    """A batch in memory."""

    def __init__(self, frames: Iterable[Frame], *, matrix: int = UNSPECIFIED) -> None:
        self.all: tuple[Frame, ...] = tuple(frames)
        self.length = Count(len(self.all))
        self.shape = self.all[0].shape
        self.frame_nbytes = self.all[0].nbytes
        self.matrix = matrix

    def stored(self, index: int) -> Frame:
        """Return one frame as it is stored."""
        return self.all[index]

    @property
    def nbytes(self) -> int:
        """Return what the distinct frames occupy; a repeated frame is stored once."""
        return sum({id(frame): frame.nbytes for frame in self.all}.values())


Made = TypeVar("Made")


class Maker(Protocol):
    """Whoever answers for the frames of a ``Lazy`` batch: the run."""

    def make(self, owner: str | None, work: Callable[[int], Made], index: int) -> Made:
        """Return a frame that a node makes; a failure is that node's."""
        ...

    def may_keep(self, nbytes: int) -> bool:
        """Say whether there is memory for one more frame that stays."""
        ...


class Lazy(Batch):
    """A batch whose frames are made when they are asked for, and again when asked again.

    Where several nodes read it, the latest frame is remembered, so that a graph that comes
    together again makes each frame once and not once for every way through it.
    """

    def __init__(
        self,
        work: Callable[[int], Frame],
        *,
        length: Length,
        reads: Iterable[Batch],
        matrix: int,
        maker: Maker,
        owner: str | None,
    ) -> None:
        self.length = length
        self.matrix = matrix
        self._work = work
        self._maker = maker
        self._owner = owner
        self._readers = 0
        self._remembers: bool | None = None
        for batch in reads:
            if isinstance(batch, Lazy):
                batch.read_once_more()
        first = maker.make(owner, work, 0)
        self._latest: tuple[int, Frame] | None = (0, first)
        self.shape = first.shape
        self.frame_nbytes = first.nbytes

    def read_once_more(self) -> None:
        """Tell that one more node reads this."""
        self._readers += 1

    def stored(self, index: int) -> Frame:
        """Make one frame."""
        if self._remembers is None and self._readers > 1:
            self._remembers = self._maker.may_keep(self.frame_nbytes)
        latest, self._latest = self._latest, None
        if latest is None or latest[0] != index:
            latest = (index, self._maker.make(self._owner, self._work, index))
        if self._remembers:
            self._latest = latest
        return latest[1]


class Audio(ABC):
    """Sound as float32, channels first, read piece by piece."""

    rate: int
    channels: int

    @abstractmethod
    def pieces(self) -> Iterator[Pixels]:
        """Yield all of it from the start."""


class _Trimmed(Audio):
    """A part of some sound."""

    def __init__(self, whole: Audio, start: int, most: int | None) -> None:
        self.rate = whole.rate
        self.channels = whole.channels
        self._whole = whole
        self._start = start
        self._most = most

    def pieces(self) -> Iterator[Pixels]:
        """Read the whole and leave out what is not in the part."""
        skipped, left = self._start, self._most
        for piece in self._whole.pieces():
            part = piece[:, skipped:][:, :left]
            skipped = max(0, skipped - piece.shape[1])
            if left is not None:
                left -= part.shape[1]
            if part.shape[1]:
                yield part
            if left == 0:
                return


def trimmed(audio: Audio, start: Fraction, duration: Fraction) -> Audio:
    """Return a part of some sound by seconds; a duration of 0 is all that follows."""
    most = round(duration * audio.rate) if duration else None
    return _Trimmed(audio, round(start * audio.rate), most)


class Clip(Struct, frozen=True, eq=False):
    """A video: either a file that nobody decoded yet, or images with sound."""

    path: Path | None = None
    images: Batch | None = None
    fps: Fraction = Fraction(25)
    audio: Audio | None = None
    bits: int = 8
    """How many bits a channel is written with."""
    start: Fraction = Fraction(0)
    """Seconds of the file or the sound that are left out."""
    duration: Fraction = Fraction(0)
    """Seconds of the file that are taken; 0 is all."""


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


def batches(value: Value) -> tuple[Batch, ...]:
    """Return the images in a value."""
    match value:
        case Batch():
            return (value,)
        case Clip(images=Batch() as images):
            return (images,)
        case _:
            return ()
