"""One example of every message and of everything that is stored, with no field left out.

``python -m tests.contract.messages.examples`` writes the golden files that are missing, and never
touches one that is there: a golden file is what somebody stored long ago.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from actors.execution.core import Tasks
from actors.execution.hosts import Hosts
from actors.execution.limits import Limit
from actors.runtime.answering import DeadLetter
from actors.runtime.record import Record
from schemas.base import Command, Event, Message
from schemas.jobs import Job
from schemas.progress import JobProgressed
from schemas.routing import ProviderRecord, RoutingManifest
from schemas.telemetry import TelemetryPacket

Kind = TypeVar("Kind", bound=Struct)

GOLDEN = Path(__file__).with_name("golden")
SPEC = GOLDEN / "spec"
"""The specification's own examples, to the letter."""
STORED: tuple[type[Struct], ...] = (
    Record,
    Job,
    Tasks,
    Hosts,
    Limit,
    DeadLetter,
    ProviderRecord,
    RoutingManifest,
)
"""What is no message and outlives the program that wrote it all the same."""

_AT = datetime(2026, 2, 28, 10, 0, 0, 123000, tzinfo=UTC)
_KNOWN: dict[str, object] = {
    "event_id": "evt_example",
    "cause_id": "evt_cause",
    "correlation_id": "job_example",
    "job_id": "job_example",
    "tenant_id": "tnt_example",
    "task_id": "task_example",
    "provider_id": "prv_example",
    "lane": "standard",
    "module": "execution",
}


def kinds() -> list[type[Message]]:
    """Return every class that may be published, by name."""
    return sorted(
        {*_concrete(Event), *_concrete(Command), JobProgressed, TelemetryPacket}, key=_name
    )


def encoded(kind: type[Struct]) -> str:
    """Return an example, no field left out, as a person reads it."""
    value = _value(inspect.type_info(kind), kind.__name__)
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def read(kind: type[Kind]) -> Kind:
    """Return what the golden file of a class says."""
    return msgspec.json.decode((GOLDEN / f"{kind.__name__}.json").read_bytes(), type=kind)


def _concrete(base: type[Message]) -> Iterator[type[Message]]:
    for kind in base.__subclasses__():
        # other tests have messages of their own
        if kind.__module__.startswith("schemas."):
            yield kind
        yield from _concrete(kind)


def _name(kind: type) -> str:
    return kind.__name__


def _value(info: inspect.Type, field: str) -> Any:
    match info:
        case inspect.Metadata():
            return _value(info.type, field)
        case inspect.StructType():
            tag = {info.tag_field: info.tag} if info.tag_field else {}
            return tag | {each.encode_name: _value(each.type, each.name) for each in info.fields}
        case inspect.VarTupleType():
            return [_value(each, field) for each in _members(info.item_type)]
        case inspect.DictType():
            return {"a_key": _value(info.value_type, field)}
        case inspect.UnionType():
            return _value(_members(info)[0], field)
        case inspect.EnumType():
            return list(info.cls)[-1].value
        case _:
            return _KNOWN.get(field) or _scalar(info, field)


def _members(info: inspect.Type) -> list[inspect.Type]:
    """Return the types a value may have, absence left out; plain values are all one."""
    if not isinstance(info, inspect.UnionType):
        return [info]
    there = [each for each in info.types if not isinstance(each, inspect.NoneType)]
    structs = [each for each in there if isinstance(each, inspect.StructType)]
    return structs or there[:1]


def _scalar(info: inspect.Type, field: str) -> object:
    match info:
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 7
        case inspect.FloatType():
            return 0.25
        case inspect.StrType() | inspect.AnyType() | inspect.CustomType():
            return f"the {field}"
        case inspect.DateTimeType():
            return _AT
        case inspect.RawType():
            return msgspec.Raw(b'{"state":"stored"}')
    raise AssertionError(f"no example of {info} for {field}")


def _write() -> None:
    for kind in (*kinds(), *STORED):
        path = GOLDEN / f"{kind.__name__}.json"
        if not path.exists():
            path.write_text(encoded(kind), encoding="utf-8")


if __name__ == "__main__":
    _write()
