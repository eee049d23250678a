"""Running what takes a while: a bar on a terminal, and an end that leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import anyio
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from actors.runtime.contract import TryLater
from effectmesh.cli.console import errors, fail, run
from effectmesh.cli.files import FollowedFile, NotWrittenError, ended_like_ctrl_c
from media.errors import SandboxBrokenError, StoreFullError
from media.job import VIDEO_NAME
from media.sandbox import Sandbox
from media.verdicts import IntakeLimits, Normalized, Refusal

T = TypeVar("T")

_LOOK_AGAIN_S: Final = 0.1


def run_locally(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command that needs no stack; trouble of the machine becomes its message."""

    async def to_its_end() -> T:
        with ended_like_ctrl_c():
            return await main()

    try:
        return run(to_its_end)
    except NotWrittenError as error:
        fail(str(error), hint=error.hint)
    except StoreFullError as error:
        fail(str(error), hint="make room on the disk, or set TMPDIR to another one")
    except (SandboxBrokenError, TryLater) as error:
        fail(str(error), hint="effectmesh doctor")


def bar() -> Progress:
    """Return a bar that is only seen on a terminal, and only while it moves."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[share]}"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


async def normalized(
    file: Path, folder: Path, limits: IntakeLimits, *, screen: Progress
) -> Normalized | Refusal:
    """Normalise a file as intake does, and show how far it is."""
    followed = FollowedFile(file)
    async with _following(followed, folder / VIDEO_NAME, screen):
        return await Sandbox(limits=limits).normalize(followed, folder)


@asynccontextmanager
async def _following(file: FollowedFile, making: Path, screen: Progress) -> AsyncIterator[None]:
    task = screen.add_task("normalising", total=None, share="")
    async with anyio.create_task_group() as group:
        group.start_soon(_follow, file, making, screen, task)
        yield
        group.cancel_scope.cancel()
    screen.remove_task(task)


async def _follow(file: FollowedFile, making: Path, screen: Progress, task: TaskID) -> None:
    """Show the share that was read; before the first picture is written, reading is planning."""
    begun = False
    while True:
        await anyio.sleep(_LOOK_AGAIN_S)
        if begun:
            share = file.read_share()
            screen.update(task, total=1.0, completed=share, share=f"{share:.0%}")
        begun = _begun(making)


def _begun(making: Path) -> bool:
    return making.exists() and making.stat().st_size > 0
