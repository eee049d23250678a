"""Writes docs/events.md: who says what to whom, drawn from the declarations.

``python -m effectmesh.docs`` writes the page, ``--check`` exits with status 1 when it is old.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from inspect import get_annotations
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from msgspec import NODEFAULT, Struct, structs

from actors.orchestrator.core import diagram
from schemas.asks import Question
from schemas.base import Command, Event, Message, Module
from schemas.commands import RunAttempt, Wake
from schemas.progress import JobProgressed
from schemas.telemetry import TelemetryPacket
from subjects import build
from subjects.build import ADDRESSEE, ANSWERER, OWNER
from subjects.topology import CMD, EVT, HEARS, PROGRESS, TIMER, TLM, WAKES

PAGE: Final = Path("docs", "events.md")
FAILED: Final = 1
ENVELOPE: Final = frozenset(Message.__struct_fields__)
_ABOUT: Final = "<tenant>.<job>"
_STEP: Final = re.compile(r"Steps? (\d+(?: and \d+)*)(?: (failed|opens))?")
_INTRODUCTION: Final = """\
# What is said on the bus

Written by `python -m effectmesh.docs` from `schemas/`, `subjects/` and the orchestrator's table; do
not edit it. Every message is JSON with the envelope below; its class name is the `event_type`.
Facts and commands are stored under their `event_id`, so the same one said twice is stored once.
Tokens in angle brackets stand for a value: `<tenant>` is `tenant_id`, `<job>` is `correlation_id`.
"""


def page() -> str:
    """Return the whole page."""
    sections = (
        _INTRODUCTION,
        _section("The envelope", _fields(Message)),
        _section("Facts", _facts()),
        _section("Commands", _commands()),
        _section("Timers, progress, telemetry", _others()),
        _section("Questions", _questions()),
        _section("The life of a job", f"```mermaid\n{diagram()}```\n"),
        _section("Messages and their fields", _all_fields(_messages())),
        _section("What they are made of", _all_fields(_parts())),
    )
    return "\n".join(sections)


def main(arguments: Sequence[str], *, target: Path = PAGE) -> int:
    """Write the page, or with ``--check`` compare it; return the exit status."""
    if "--check" not in arguments:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(), encoding="utf-8")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{target} is old; run: python -m effectmesh.docs\n")
    return FAILED


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _facts() -> str:
    heading = ("fact", "step", "said by", "heard by", f"subject in {EVT}", "what it says")
    rows = (
        (
            _link(kind),
            _step(kind),
            owner,
            _names(module for module, kinds in HEARS.items() if kind in kinds),
            _code(build.facts_of(kind).replace(">", _ABOUT)),
            _summary(kind),
        )
        for kind, owner in OWNER.items()
        if issubclass(kind, Event)
    )
    return _table(heading, rows)


def _commands() -> str:
    heading = ("command", "obeyed by", f"subject in {CMD}", "what it says")
    rows = [
        (
            _link(kind),
            to,
            _code(build.commands_for(to).replace(">", f"{kind.__name__}.{_ABOUT}")),
            _summary(kind),
        )
        for kind, to in ADDRESSEE.items()
    ]
    agents = "`cmd.exec.<lane>.<provider>`"
    rows.append((_link(RunAttempt), Module.GPU_AGENT, agents, _summary(RunAttempt)))
    return _table(heading, rows)


def _others() -> str:
    heading = ("message", "heard by", "subject", "what it says")
    rows = (
        (
            _link(Wake),
            _names(WAKES),
            f"`due.<module>.<tenant>.<job>.<name>` in {TIMER}",
            _summary(Wake),
        ),
        (
            _link(JobProgressed),
            Module.GATEWAY,
            f"`prog.<tenant>.<job>` in {PROGRESS}",
            _summary(JobProgressed),
        ),
        (
            _link(TelemetryPacket),
            Module.ECONOMIC_ENGINE,
            f"`tlm.<module>` in {TLM}",
            _summary(TelemetryPacket),
        ),
    )
    return _table(heading, rows)


def _questions() -> str:
    heading = ("question", "answered by", "subject", "what it asks")
    rows = (
        (_link(kind), by, _code(build.ask(kind)), _summary(kind)) for kind, by in ANSWERER.items()
    )
    return _table(heading, rows)


def _messages() -> Sequence[type[Struct]]:
    return [
        *OWNER,
        *ADDRESSEE,
        RunAttempt,
        Wake,
        JobProgressed,
        TelemetryPacket,
        *get_args(Question),
    ]


def _parts() -> Sequence[type[Struct]]:
    """Return every struct that messages are made of, each once, by name."""
    found: dict[str, type[Struct]] = {}
    waiting = [*_messages()]
    known = set(waiting)
    while waiting:
        for part in _inside(waiting.pop()):
            if part not in known:
                known.add(part)
                waiting.append(part)
                found[part.__name__] = part
    return [found[name] for name in sorted(found)]


def _inside(kind: type[Struct]) -> Iterator[type[Struct]]:
    waiting: list[Any] = list(get_type_hints(kind).values())
    while waiting:
        hint = waiting.pop()
        if isinstance(hint, type) and issubclass(hint, Struct):
            yield hint
        waiting.extend(get_args(hint))


def _all_fields(kinds: Iterable[type[Struct]]) -> str:
    chapters = (f"### {kind.__name__}\n\n{_summary(kind)}\n\n{_fields(kind)}" for kind in kinds)
    return "\n".join(chapters)


def _fields(kind: type[Struct]) -> str:
    spelled = _spelled(kind)
    hidden = ENVELOPE if issubclass(kind, Event | Command | JobProgressed | TelemetryPacket) else ()
    rows = [
        (f"`{each.encode_name}`", f"`{_escaped(spelled[each.name])}`", _default(each))
        for each in structs.fields(kind)
        if each.name not in hidden
    ]
    return _table(("field", "type", "when left out"), rows) if rows else "No field.\n"


def _spelled(kind: type[Struct]) -> dict[str, str]:
    """Return the types as the source spells them, which keeps the units in their names."""
    return {
        name: spelling
        for base in reversed(kind.__mro__)
        for name, spelling in get_annotations(base).items()
    }


def _default(field: structs.FieldInfo) -> str:
    if field.required:
        return "refused"
    if field.default_factory is not NODEFAULT:
        return f"`{field.default_factory()!r}`"
    if isinstance(field.default, Struct):
        return f"a {type(field.default).__name__} of defaults"
    if hasattr(field.default, "isoformat"):
        return f"`{field.default.isoformat()}`"
    return f"`{_escaped(repr(field.default))}`"


def _step(kind: type[Struct]) -> str:
    found = _STEP.match(kind.__doc__ or "")
    return found[1].replace(" and ", ", ") if found else ""


def _summary(kind: type[Struct]) -> str:
    """Return the first line of the docstring, without the step it begins with."""
    first = (kind.__doc__ or "").strip().partition("\n")[0]
    return _escaped(re.sub(r"^Steps? \d+(?: and \d+)*\. ", "", first))


def _link(kind: type[Struct]) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _names(modules: Iterable[Module]) -> str:
    return ", ".join(modules)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
