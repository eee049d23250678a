"""Dead letters: list, show, replay, drop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from rich.table import Column, Table
from rich.text import Text

from actors.runtime.dead_letters import (
    DeadLetters,
    Kept,
    NoLetterError,
    NotReplayableError,
    Replayed,
    refusal,
)
from actors.runtime.envelope import UNREADABLE
from actors.runtime.errors import ApiError, NoStreamError, NotPermittedError
from effectmesh import state
from effectmesh.cli.broker import open_broker
from effectmesh.cli.console import (
    FAILED,
    USAGE,
    console,
    errors,
    fail,
    print_json,
    run_reading,
    settings,
)
from schemas.base import Module
from subjects import build

UNDOABLE = (NoLetterError, NotReplayableError, ApiError, NoStreamError, NotPermittedError)
"""What is wrong with one letter; the others are done all the same."""
Done = Replayed | int
"""A letter that was replayed, or the number of one that was dropped."""
LISTS_THEM = "effectmesh dlq list shows those there are"


class Line(Struct, frozen=True, kw_only=True):
    """A letter as a list shows it, without its body."""

    sequence: int
    at: str
    module: str
    reason: str
    error: str
    subject: str
    kind: str
    job: str
    origin: str
    """Stream, consumer and sequence."""
    delivered: int
    trace_id: str
    cut: bool


class Failure(Struct, frozen=True, kw_only=True):
    """A letter that could not be replayed or dropped, and why."""

    letter: int
    why: str


class Outcome(Struct, kw_only=True):
    """What became of each letter that was named."""

    done: list[Done] = msgspec.field(default_factory=list)
    gone: list[int] = msgspec.field(default_factory=list)
    """Not there any more: replayed, dropped or too old."""
    failed: list[Failure] = msgspec.field(default_factory=list)


def show_list(*, module: str, limit: int, as_json: bool) -> None:
    """List the newest letters."""
    chosen = _module(module)

    async def look() -> None:
        async with _opened() as letters:
            found = [_line(each) for each in await letters.newest(limit=limit, module=chosen)]
            counts = await letters.counts()
        if as_json:
            print_json(found)
            return
        total = counts.get(chosen, 0) if chosen else sum(counts.values())
        if not found:
            console.print(f"no dead letters{f' of {chosen}' if chosen else ''}")
            return
        console.print(_table(found))
        if total > len(found):
            console.print(f"the newest {len(found)} of {total}; --limit shows more")
        console.print("one of them: effectmesh dlq show SEQ")

    run_reading(look)


def show(sequence: int, *, as_json: bool) -> None:
    """Show one letter."""

    async def look() -> None:
        async with _opened() as letters:
            try:
                kept = await letters.find(sequence)
            except NoLetterError as missing:
                fail(str(missing), hint=LISTS_THEM)
        if as_json:
            print_json(kept)
            return
        for name, value in _facts(kept):
            console.print(Text(f"{name:<10} {_plain(value)}"), soft_wrap=True)
        console.print(Text(_plain(_pretty(kept.letter.body))), soft_wrap=True)

    run_reading(look)


def replay(sequences: Sequence[int], *, every: bool, module: str, yes: bool, as_json: bool) -> None:
    """Replay letters, oldest first when all of them are asked for."""
    chosen = _module(module)
    if every == bool(sequences) or (chosen and not every):
        fail(
            "name the letters, or say --all, with --module for those of one module",
            hint=LISTS_THEM,
            status=USAGE,
        )
    if every:
        _confirm(f"this replays every dead letter{f' of {chosen}' if chosen else ''}", yes=yes)

    async def send() -> int:
        async with _opened() as letters:
            numbers = sequences
            if every:
                numbers = [each.sequence async for each in letters.every(module=chosen)]

            async def one(sequence: int) -> Done:
                return await letters.replay(await letters.find(sequence))

            outcome = await _each(numbers, one)
        if as_json:
            print_json(outcome)
        else:
            _tell(outcome)
            if outcome.done and state.running(settings()) is None:
                console.print("nothing runs here; they are heard after: effectmesh up")
        return FAILED if outcome.failed else 0

    raise SystemExit(run_reading(send))


def drop(sequences: Sequence[int], *, yes: bool, as_json: bool) -> None:
    """Delete letters."""
    named = ", ".join(map(str, sequences))
    _confirm(f"this deletes for good, with what they hold, the dead letters {named}", yes=yes)

    async def send() -> int:
        async with _opened() as letters:

            async def one(sequence: int) -> Done:
                await letters.find(sequence)
                await letters.drop(sequence)
                return sequence

            outcome = await _each(sequences, one)
        if as_json:
            print_json(outcome)
        else:
            _tell(outcome)
        return FAILED if outcome.failed else 0

    raise SystemExit(run_reading(send))


@asynccontextmanager
async def _opened() -> AsyncIterator[DeadLetters]:
    async with open_broker("dlq") as bus:
        yield DeadLetters(bus=bus)


async def _each(sequences: Sequence[int], do: Callable[[int], Awaitable[Done]]) -> Outcome:
    """Do it to every letter; one that cannot be helped holds up none of the others."""
    outcome = Outcome()
    for sequence in dict.fromkeys(sequences):
        try:
            outcome.done.append(await do(sequence))
        except NoLetterError as missing:
            if missing.kept_before:
                outcome.gone.append(sequence)
            else:
                outcome.failed.append(Failure(letter=sequence, why=str(missing)))
        except UNDOABLE as wrong:
            outcome.failed.append(Failure(letter=sequence, why=str(wrong)))
    return outcome


def _tell(outcome: Outcome) -> None:
    for done in outcome.done:
        console.print(Text(_said(done)), soft_wrap=True)
    for sequence in outcome.gone:
        console.print(f"{sequence} is not kept any more: it was replayed, dropped or too old")
    for failure in outcome.failed:
        errors.print(Text.assemble(("error: ", "bold red"), _plain(failure.why)))
    if outcome.failed:
        errors.print(
            Text.assemble(("  fix: ", "bold"), "effectmesh dlq show SEQ, or effectmesh dlq list")
        )
    if not (outcome.done or outcome.gone or outcome.failed):
        console.print("there are no dead letters")


def _confirm(what: str, *, yes: bool) -> None:
    """Return when it may be done; end when it may not."""
    if yes:
        return
    errors.print(Text(what))
    try:
        answer = errors.input("type yes to go on: ").strip()
    except EOFError:
        fail("nobody answers, so nothing was changed", hint="give --yes", status=USAGE)
    if answer != "yes":
        errors.print("nothing was changed")
        raise SystemExit(0)


def _module(name: str) -> Module | None:
    if not name:
        return None
    try:
        return Module(name)
    except ValueError:
        fail(f"there is no module {name}", hint=f"one of {', '.join(Module)}", status=USAGE)


def _line(kept: Kept) -> Line:
    letter = kept.letter
    kind, _, job = build.addressed(letter.subject) or ("", "", "")
    return Line(
        sequence=kept.sequence,
        at=kept.at.isoformat(timespec="seconds"),
        module=letter.module,
        reason=letter.reason,
        error=letter.error,
        subject=letter.subject,
        kind=kind,
        job=job,
        origin=_origin(kept),
        delivered=letter.delivered,
        trace_id=kept.trace_id,
        cut=letter.cut,
    )


def _table(lines: Sequence[Line]) -> Table:
    table = Table(Column("letter", justify="right"), "at", "module", "reason", box=None)
    table.add_column("what", no_wrap=True)
    table.add_column("job", no_wrap=True)
    table.add_column("error")
    for each in lines:
        error = Text(_plain(each.error), overflow="ellipsis", no_wrap=True)
        cells = (each.at, each.module, each.reason, each.kind or each.subject, each.job)
        table.add_row(str(each.sequence), *(Text(_plain(cell)) for cell in cells), error)
    return table


def _facts(kept: Kept) -> Sequence[tuple[str, str]]:
    letter = kept.letter
    why = refusal(letter)
    return [
        ("letter", str(kept.sequence)),
        ("at", kept.at.isoformat(timespec="seconds")),
        ("module", letter.module),
        ("reason", letter.reason),
        ("error", letter.error),
        ("subject", letter.subject),
        ("from", f"{_origin(kept)}, delivered {letter.delivered} times"),
        ("trace", kept.trace_id or "none"),
        *(("header", f"{name}: {value}") for name, value in letter.headers.items()),
        ("replay", f"impossible: {why}" if why else f"effectmesh dlq replay {kept.sequence}"),
        ("body", f"{len(letter.body)} characters{', its end was cut off' if letter.cut else ''}"),
    ]


def _origin(kept: Kept) -> str:
    letter = kept.letter
    return f"{letter.stream}/{letter.consumer} {letter.sequence}"


def _said(done: Done) -> str:
    if isinstance(done, int):
        return f"{done} dropped"
    again = "; it had been before, and is not done twice" if done.repeated else ""
    return f"{done.letter} replayed to {done.subject}, now {done.stream} {done.sequence}{again}"


def _pretty(body: str) -> str:
    try:
        return msgspec.json.format(body, indent=2)
    except UNREADABLE:
        return body


def _plain(text: str) -> str:
    """Return what a terminal may be sent: a body is anybody's, and could steer it."""
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)
