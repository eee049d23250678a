"""Writes docs/asyncapi.json: every subject and every message as AsyncAPI 3.1, for other programs.

``python -m effectmesh.asyncapi`` writes the file, ``--check`` exits with status 1 when it is old.
``docs/events.md`` says the same to people.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from effectmesh import __version__
from effectmesh.channels import Channel, channels, summary
from schemas.base import Module

PAGE: Final = Path("docs", "asyncapi.json")
FAILED: Final = 1
VERSION: Final = "3.1.0"
JSON: Final = "application/json"

PARAMETERS: Final = {
    "tenant": "the `tenant_id` of the message",
    "job": "its `correlation_id`",
    "lane": "a queue of renders, `interactive` or `batch`",
    "provider": "a provider's id",
    "module": "who says it",
    "key": "a job's id, `tasks_` and a job's id, `limit_` and a provider's, or `hosts`",
    "name": "which timer of the job",
    "agent": "an agent's id",
    "category": "what the record is about",
    "severity": "`DEBUG` to `CRITICAL`",
}
"""What stands in the curly brackets of an address."""

_TOKEN: Final = re.compile(r"\{(\w+)\}")
_INTRODUCTION: Final = """\
Every subject on the bus and what is said there. Written by `python -m effectmesh.asyncapi` from \
`schemas/` and `subjects/`; do not edit it. Facts and commands are stored under their `event_id`, \
which is the `Nats-Msg-Id` too: the same one said twice is stored once."""


def document() -> dict[str, Any]:
    """Return the whole document."""
    found = channels()
    messages = {kind.__name__: kind for each in found for kind in _messages_of(each)}
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "effectmesh",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": module.value} for module in Module],
        },
        "defaultContentType": JSON,
        "servers": {
            "nats": {
                "host": "localhost:4222",
                "protocol": "nats",
                "description": "NATS JetStream, 2.14 or newer",
                "security": [{"$ref": "#/components/securitySchemes/user"}],
            }
        },
        "channels": dict(_drawn_channels(found)),
        "operations": dict(_drawn_operations(found)),
        "components": {
            "securitySchemes": {
                "user": {"type": "userPassword", "description": "one user for each module"}
            },
            "messages": {name: _message(messages[name]) for name in sorted(messages)},
            "schemas": _schemas(messages.values()),
        },
    }


def text() -> str:
    """Return the file's content."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str], *, target: Path = PAGE) -> int:
    """Write the file, or with ``--check`` compare it; return the exit status."""
    if "--check" not in arguments:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text(), encoding="utf-8")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{target} is old; run: python -m effectmesh.asyncapi\n")
    return FAILED


def _drawn_channels(found: Iterable[Channel]) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in found:
        drawn: dict[str, Any] = {
            "address": each.address,
            "description": each.about,
            "messages": _named(each.kinds),
        }
        if tokens := _TOKEN.findall(each.address):
            drawn["parameters"] = {token: {"description": PARAMETERS[token]} for token in tokens}
        if each.stream:
            drawn["x-stream"] = each.stream
        yield each.name, drawn
        if each.answer is not None:
            yield (
                _inbox(each),
                {
                    "address": None,
                    "description": "the inbox that the question names as its reply subject",
                    "messages": _named((each.answer,)),
                },
            )


def _drawn_operations(found: Iterable[Channel]) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in found:
        for verb, action, modules in (("says", "send", each.by), ("hears", "receive", each.to)):
            for module in modules:
                yield f"{module}_{verb}_{each.name}", _operation(each, action, module)


def _operation(each: Channel, action: str, module: Module) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{each.name}"},
        "messages": _references(each.name, each.kinds),
        "tags": [{"name": module.value}],
    }
    if each.answer is not None:
        drawn["reply"] = {
            "channel": {"$ref": f"#/channels/{_inbox(each)}"},
            "messages": _references(_inbox(each), (each.answer,)),
        }
    return drawn


def _inbox(each: Channel) -> str:
    return f"{each.name}_answer"


def _named(kinds: Iterable[type[Struct]]) -> dict[str, Any]:
    return {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds}


def _references(channel: str, kinds: Iterable[type[Struct]]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in kinds]


def _message(kind: type[Struct]) -> dict[str, Any]:
    return {
        "name": kind.__name__,
        "summary": summary(kind),
        "contentType": JSON,
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }


def _schemas(kinds: Iterable[type[Struct]]) -> dict[str, Any]:
    _, parts = msgspec.json.schema_components(
        kinds, schema_hook=_anything, ref_template="#/components/schemas/{name}"
    )
    return {name: parts[name] for name in sorted(parts)}


def _anything(kind: type) -> dict[str, Any]:
    """Return the schema of ``object``: whatever a workflow's node takes."""
    if kind is object:
        return {"description": "any JSON"}
    raise NotImplementedError(kind)


def _messages_of(channel: Channel) -> Iterator[type[Struct]]:
    yield from channel.kinds
    if channel.answer is not None:
        yield channel.answer


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
