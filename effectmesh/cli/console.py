"""Settings, printing, and how an error becomes a message and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn, TypeVar

import anyio
import msgspec
from rich.console import Console
from rich.text import Text

from effectmesh.settings import SettingError, Settings, read

T = TypeVar("T")

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

PIPE_WIDTH: Final = 140
"""Columns of a table that goes into a file or a pipe, unless COLUMNS says otherwise."""


def _width() -> int | None:
    """Return nothing where a terminal knows its own width."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH


console = Console(soft_wrap=False, width=_width())
errors = Console(stderr=True, soft_wrap=True, highlight=False)


def settings() -> Settings:
    """Return the settings, or end with what is wrong with them."""
    try:
        return read(os.environ)
    except SettingError as wrong:
        fail(str(wrong), status=USAGE)


def print_json(value: object) -> None:
    """Print a value for programs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def fail(
    message: str, *, faults: Sequence[str] = (), hint: str = "", status: int = FAILED
) -> NoReturn:
    """Print what is wrong, each fault on its line, and what to do, and end."""
    errors.print(Text.assemble(("error: ", "bold red"), message))
    for each in faults:
        errors.print(f"  {each}", markup=False)
    if hint:
        errors.print(Text.assemble(("  fix: ", "bold"), hint))
    raise SystemExit(status)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command's coroutine; an expected error becomes its message."""
    with _explained():
        return anyio.run(main, backend_options={"use_uvloop": True})


def run_reading(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command that may have to start servers first, and show that something happens."""
    with _explained(), errors.status("reading ..."):
        return anyio.run(main, backend_options={"use_uvloop": True})


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BaseExceptionGroup as group:
        _explain(_first(group))
    except Exception as error:
        _explain(error)


def _first(group: BaseExceptionGroup) -> BaseException:
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner


def _explain(error: BaseException) -> NoReturn:
    import asyncpg
    import httpx

    from actors.runtime.errors import BusError
    from effectmesh.client import ProblemError
    from effectmesh.clips import NoClipError
    from effectmesh.embedded.errors import EmbeddedError
    from effectmesh.up import AlreadyUpError, NotReadyError, PortInUseError

    if isinstance(error, ProblemError):
        problem = error.problem
        code = f" ({problem.code})" if problem.code else ""
        fail(f"{problem.detail or problem.title}{code}", hint=problem.hint)
    if isinstance(error, httpx.TransportError):
        fail(f"the gateway does not answer: {error}", hint="start it: effectmesh up")
    if isinstance(error, KeyboardInterrupt):
        raise SystemExit(INTERRUPTED)
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | ConnectionError):
        fail(f"the database does not answer: {error}", hint="effectmesh doctor")
    known = (EmbeddedError, BusError, NoClipError, AlreadyUpError, NotReadyError, PortInUseError)
    if isinstance(error, known):
        fail(str(error))
    raise error
