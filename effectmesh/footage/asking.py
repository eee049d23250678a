"""Asks a child process about files, and gets an answer whatever the files do to it.

The child has a session of its own: Ctrl-C reaches this process alone, which then ends the child and
all that the child has started.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Final, TypeVar

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import Process

from effectmesh.footage.jobs import (
    MAX_STILLS,
    READY,
    Answer,
    Failed,
    Job,
    Opinion,
    Peek,
    Peeked,
    Pictures,
    Stills,
    Vmaf,
    Watch,
    Watched,
)
from media.children import heard, last_words, started
from media.errors import SandboxBrokenError
from media.verdicts import IntakeLimits

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_ANSWERS: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)

T = TypeVar("T", Peeked, Watched, Pictures, Opinion)


class NoAnswerError(Exception):
    """A child had no answer; the message says why."""


async def peek(file: Path, limits: IntakeLimits) -> Peeked:
    """Return how a file is stored.

    Raises:
        NoAnswerError: not even its first picture can be decoded.
        SandboxBrokenError: no child could be started on this machine.
    """
    with _opened(file) as [number]:
        return await _told(Peek(file=number, limits=limits), (number,), Peeked)


async def watch(mezzanine: Path) -> Watched:
    """Return what is in a clip that was normalised.

    Raises:
        NoAnswerError: it cannot be decoded.
        SandboxBrokenError: no child could be started on this machine.
    """
    with _opened(mezzanine) as [number]:
        return await _told(Watch(file=number), (number,), Watched)


async def stills(file: Path, at_ms: Sequence[int], *, side: int) -> Sequence[bytes]:
    """Return a JPEG for each time; empty ones where there is nothing to be seen.

    Raises:
        SandboxBrokenError: no child could be started on this machine.
    """
    if not at_ms:
        return ()
    times = tuple(at_ms[:MAX_STILLS])
    try:
        with _opened(file) as [number]:
            job = Stills(file=number, at_ms=times, side=side)
            found = (await _told(job, (number,), Pictures)).stills
    except NoAnswerError:
        found = ()
    return [*found, *[b""] * len(at_ms)][: len(at_ms)]


async def vmaf(source: Path, result: Path) -> float:
    """Return the mean VMAF of a result.

    Raises:
        NoAnswerError: it cannot be measured.
        SandboxBrokenError: no child could be started on this machine.
    """
    here = Path.cwd()
    job = Vmaf(source=str(here / source), result=str(here / result))
    return (await _told(job, (), Opinion)).value


@contextmanager
def _opened(*files: Path) -> Iterator[list[int]]:
    with ExitStack() as stack:
        yield [stack.enter_context(file.open("rb")).fileno() for file in files]


async def _told(job: Job, files: tuple[int, ...], kind: type[T]) -> T:
    answer = await _asked(job, files)
    if isinstance(answer, kind):
        return answer
    why = answer.why if isinstance(answer, Failed) else "the child answered another question"
    raise NoAnswerError(why)


async def _asked(job: Job, files: tuple[int, ...]) -> Answer:
    said, exit_code = b"", 0
    with (
        await to_thread.run_sync(TemporaryFile) as complaints,
        TemporaryDirectory(prefix="footage-") as folder,
    ):
        process = await started(
            "effectmesh.footage.child",
            msgspec.json.encode(job).decode(),
            complaints=complaints,
            folder=Path(folder),
            files=files,
            own_session=True,
        )
        over = False
        async with process:
            try:
                with anyio.move_on_after(job.limits.wall_seconds):
                    said = await heard(process, most=MAX_ANSWER_BYTES, end=partial(_end, process))
                    exit_code = await process.wait()
                    over = True
            finally:
                if not over:
                    _end(process)
        if not over:
            return Failed(why=f"it took more than {job.limits.wall_seconds:g} s")
        return _answer(said, exit_code, last_words(complaints))


def _end(process: Process) -> None:
    """Kill the child and what it has started; it leads a group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _answer(said: bytes, exit_code: int, complaint: str) -> Answer:
    if exit_code == -signal.SIGXCPU:
        return Failed(why="it used up its processor time")
    if not said.startswith(READY):
        raise SandboxBrokenError(f"exit code {exit_code}: {complaint}")
    if exit_code != 0:
        return Failed(why=f"the child ended with {exit_code}")
    try:
        return _ANSWERS.decode(said.removeprefix(READY))
    except msgspec.DecodeError as error:
        return Failed(why=f"the child's answer cannot be read: {error}")
