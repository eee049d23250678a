"""What a node is given: its inputs, and the run it is part of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

from msgspec import Struct

from gpu_agent.renderer.errors import UnsupportedError
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.nodes.lengths import Length
from gpu_agent.renderer.nodes.values import (
    UNSPECIFIED,
    Audio,
    Batch,
    Clip,
    Frame,
    Held,
    Lazy,
    Maker,
    Pixels,
    Value,
)


class Run(Maker, Protocol):
    """The run around a node: memory, progress, the way to be stopped."""

    folders: Folders
    current: str | None

    def tick(self, done: int, total: int, frame: Frame | None = None) -> None:
        """Tell the client how far the node is; it may want to see the frame.

        Raises:
            InterruptedRunError: somebody asked for the run to stop.
        """
        ...

    def show_each(self, done: int, total: int, picture: bytes) -> None:
        """Send a PNG to the client, and tell how far the node is.

        Raises:
            InterruptedRunError: somebody asked for the run to stop.
        """
        ...

    def check(self) -> None:
        """Stop here if somebody asked for it.

        Raises:
            InterruptedRunError: somebody asked for the run to stop.
        """
        ...

    def allow(self, nbytes: int) -> None:
        """Look at the size of one frame that is about to be made, or was.

        Raises:
            OutOfMemoryBudgetError: no frame may be so large.
        """
        ...

    def room(self) -> int:
        """Return how many bytes of frames a node may hold for those that read it."""
        ...

    def at_end(self, close: Callable[[], None]) -> None:
        """Have something let go when the run is over."""
        ...


class Inputs:
    """A node's inputs by name. Validation has checked the types; this tells them to mypy."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """Say whether the input is there and not empty."""
        return self._values.get(name) is not None

    def any(self, name: str) -> Value:
        """Return whatever it is."""
        return self._values.get(name)

    def batch(self, name: str) -> Batch:
        """Return images or masks."""
        value = self._values[name]
        if not isinstance(value, Batch):
            raise UnsupportedError(f"{name} is no batch of images")
        return value

    def clip(self, name: str) -> Clip:
        """Return a video."""
        value = self._values[name]
        if not isinstance(value, Clip):
            raise UnsupportedError(f"{name} is no video")
        return value

    def audio(self, name: str) -> Audio | None:
        """Return sound, if there is any."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, Audio):
            raise UnsupportedError(f"{name} is no sound")
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        value = self._values.get(name, default)
        if not isinstance(value, int | float):
            raise UnsupportedError(f"{name} is no number: {value}")
        return int(value)

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a number."""
        value = self._values.get(name, default)
        if not isinstance(value, int | float):
            raise UnsupportedError(f"{name} is no number: {value}")
        return float(value)

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        return bool(self._values.get(name, False))

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        return str(self._values.get(name, default))


class Saved(Struct, frozen=True):
    """One file that an output node wrote."""

    filename: str
    subfolder: str
    type: str = "output"


class Result(Struct, frozen=True):
    """What a node made: one value per output slot, and what a client may fetch."""

    values: tuple[Value, ...] = ()
    saved: tuple[Saved, ...] = ()
    animated: bool = False
    told: tuple[str, ...] = ()
    """Texts for the client."""


NodeFunction: TypeAlias = Callable[[Inputs, Run], Result]


def one(value: Value) -> Result:
    """Return a result with a single output slot."""
    return Result(values=(value,))


def each(run: Run, batch: Batch, work: Callable[[Pixels], Pixels]) -> Result:
    """Work through a batch image by image."""
    return one(
        collect(run, lambda index: work(batch.image(index)), length=batch.length, reads=(batch,))
    )


def collect(
    run: Run,
    work: Callable[[int], Frame],
    *,
    length: Length,
    reads: tuple[Batch, ...],
) -> Batch:
    """Return a new batch, with the colour matrix of the first that it reads.

    One that is small is made at once and held, so that it can be kept for later runs. Of any
    other only the first frame is made now, which tells its size and whether the node works at
    all; the rest is made frame by frame for whoever reads it.
    """
    matrix = reads[0].matrix if reads else UNSPECIFIED
    batch = Lazy(work, length=length, reads=reads, matrix=matrix, maker=run, owner=run.current)
    run.allow(batch.frame_nbytes)
    return held(run, batch) or batch


def held(run: Run, batch: Batch) -> Held | None:
    """Return a batch with all frames in memory, if there is room for them."""
    room, expected = run.room(), batch.length.hint
    if batch.frame_nbytes * expected > room:
        return None
    frames: list[Frame] = []
    for frame in batch.frames():
        run.check()
        frames.append(frame)
        if len(frames) * frame.nbytes > room:
            return None
        run.tick(len(frames), max(expected, len(frames)), frame)
    return Held(frames, matrix=batch.matrix)


@contextmanager
def writing(run: Run, prefix: str, suffix: str) -> Iterator[tuple[Path, Saved]]:
    """Yield where to write an output and what it will be called; a failure leaves no file."""
    folder, subfolder, stem, number = run.folders.next_name("output", prefix)
    name = f"{stem}_{number:05}_.{suffix}"
    part = folder / f".{name}.part"
    try:
        yield part, Saved(filename=name, subfolder=subfolder)
        part.replace(folder / name)
    finally:
        part.unlink(missing_ok=True)
