"""What a node is given: its inputs, and the run it is part of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct

from gpu_agent.renderer.errors import UnsupportedError
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.nodes.values import Audio, Batch, Clip, Frame, Pixels, Value


class Run(Protocol):
    """The run around a node: memory, progress, the way to be stopped."""

    folders: Folders

    def tick(self, done: int, total: int) -> None:
        """Tell the client how far the node is.

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

    def reserve(self, needed: int) -> None:
        """Claim memory for images that are about to be made.

        Raises:
            OutOfMemoryBudgetError: they do not fit.
        """
        ...

    def is_last_reader(self, batch: Batch) -> bool:
        """Say whether nobody, the cache included, reads the batch after the current node."""
        ...

    def refuse_if_too_long(self, *, frames: int, width: int, height: int) -> None:
        """Check a clip against the budget before it is decoded.

        Raises:
            OutOfMemoryBudgetError: the graph cannot be run on this clip.
        """
        ...


class Inputs:
    """A node's inputs by name. Validation has checked the types; this tells them to mypy."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """Say whether the input is there and not empty."""
        return self._values.get(name) is not None

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


NodeFunction: TypeAlias = Callable[[Inputs, Run], Result]


def one(value: Value) -> Result:
    """Return a result with a single output slot."""
    return Result(values=(value,))


def each(run: Run, batch: Batch, work: Callable[[Pixels], Pixels]) -> Result:
    """Work through a batch image by image; nothing but the result remains of it where it can."""
    return one(collect(run, batch, lambda index: work(batch.image(index)), read=(batch,)))


def collect(
    run: Run,
    like: Batch,
    work: Callable[[int], Frame],
    *,
    count: int | None = None,
    read: tuple[Batch, ...] = (),
) -> Batch:
    """Make a new batch image by image; its size is known, and reserved, after the first.

    ``read`` names the batches of which image ``n`` is read for image ``n`` only.
    """
    total = len(like) if count is None else count
    spent = [b for b in read if len(b) == total and run.is_last_reader(b)]
    frames: list[Frame] = []
    for index in range(total):
        run.check()
        frames.append(work(index))
        if index == 0:
            run.reserve(frames[0].nbytes * total - sum(batch.nbytes for batch in spent))
        for batch in spent:
            batch.let_go(index)
        run.tick(index + 1, total)
    return Batch(frames, matrix=like.matrix)
