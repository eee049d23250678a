"""docs/asyncapi.json is what the declarations say, and a document that AsyncAPI tools can read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from actors.runtime.record import Record
from actors.runtime.wire import Outgoing
from effectmesh import asyncapi
from effectmesh.channels import ANSWER, Channel, SagaRecord, Word, channels
from schemas.base import Module
from subjects import build
from subjects.build import ADDRESSEE, ANSWERER, OWNER
from subjects.topology import BUCKETS, STREAMS
from tests.contract.messages.examples import kinds, read

REPOSITORY = Path(__file__).parents[3]
DOCUMENT = asyncapi.document()
KEY = re.compile(r"[a-zA-Z0-9._-]+")
"""What AsyncAPI allows as the name of a component."""
ASKING = ("gateway", "effectmesh")
REQUIRED = {
    "": ("asyncapi", "info"),
    "info": ("title", "version"),
    "servers": ("host", "protocol"),
    "channels": ("address", "messages"),
    "operations": ("action", "channel"),
    "messages": ("payload",),
}
"""The fields that the specification, or a generator that reads the document, cannot do without."""


def test_the_document_is_up_to_date() -> None:
    """Somebody's generated client follows it; ``python -m effectmesh.asyncapi``."""
    assert asyncapi.main(["--check"], target=REPOSITORY / asyncapi.PAGE) == 0


def test_an_old_document_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or nobody would notice."""
    target = tmp_path / "asyncapi.json"
    assert asyncapi.main(["--check"], target=target) == asyncapi.FAILED
    assert asyncapi.main([], target=target) == 0
    target.write_text(target.read_text(encoding="utf-8").replace("approval", "approvals"))

    assert asyncapi.main(["--check"], target=target) == asyncapi.FAILED
    assert "python -m effectmesh.asyncapi" in capsys.readouterr().err


def test_every_reference_leads_somewhere() -> None:
    """A tool that meets a dead one refuses the whole document."""
    dead = [pointer for pointer in _references(DOCUMENT) if _at(pointer) is None]

    assert dead == []
    assert len(set(_references(DOCUMENT))) > 100


def test_every_part_has_the_fields_it_needs() -> None:
    """Without them the document is none."""
    parts = [("", DOCUMENT), ("info", DOCUMENT["info"])]
    for group in ("servers", "channels", "operations"):
        parts += [(group, each) for each in DOCUMENT[group].values()]
    parts += [("messages", each) for each in DOCUMENT["components"]["messages"].values()]

    missing = [
        (group, field) for group, part in parts for field in REQUIRED[group] if field not in part
    ]

    assert missing == []
    assert DOCUMENT["asyncapi"].startswith("3.1.")


def test_the_names_are_ones_that_the_specification_allows() -> None:
    """A dot of a subject in an operation's name would break generated code."""
    names = [
        *DOCUMENT["channels"],
        *DOCUMENT["operations"],
        *DOCUMENT["components"]["messages"],
        *DOCUMENT["components"]["schemas"],
    ]

    assert [name for name in names if not KEY.fullmatch(name)] == []
    assert len({each.name for each in channels()}) == len(channels())


@pytest.mark.parametrize("name", DOCUMENT["channels"])
def test_a_channel_declares_each_token_of_its_address(name: str) -> None:
    """Neither one that is missing nor one that stands nowhere."""
    channel = DOCUMENT["channels"][name]
    tokens = re.findall(r"\{(\w+)\}", channel["address"] or "")

    assert set(channel.get("parameters", ())) == set(tokens)


@pytest.mark.parametrize("name", DOCUMENT["operations"])
def test_an_operation_names_messages_of_its_own_channel(name: str) -> None:
    """The specification wants them from there, not from the components."""
    operation = DOCUMENT["operations"][name]

    for part in (operation, *([operation["reply"]] if "reply" in operation else ())):
        channel = part["channel"]["$ref"]
        assert all(each["$ref"].startswith(channel + "/messages/") for each in part["messages"])
    assert operation["action"] in ("send", "receive")


def test_every_message_with_a_subject_stands_there_under_that_subject() -> None:
    """The example of each kind is published where the document says."""
    wrong = []
    for kind in kinds():
        if kind not in {*OWNER, *ADDRESSEE}:
            continue
        subject = build.subject_of(read(kind))
        [channel] = [each for each in channels() if each.name == kind.__name__]
        if not _matches(channel, subject) or channel.kinds != (kind,):
            wrong.append((kind.__name__, channel.address, subject))

    assert wrong == []


def test_every_stream_and_bucket_stands_there() -> None:
    """What is stored and not documented is found by nobody."""
    stored = {each.stream for each in channels() if each.stream}
    declared = {each.name for each in STREAMS} | {build.bucket_stream(b.name) for b in BUCKETS}

    # the server itself writes its advisories; they are not ours to document
    assert {name for name in declared if not name.endswith("_ADV")} == stored


def test_a_question_names_its_answer_as_the_code_that_asks_reads_it() -> None:
    """``ANSWER`` is said here only, and the reader's type is what counts."""
    asked = dict(_asked())

    assert set(ANSWER) == set(ANSWERER)
    assert len(asked) > 5
    assert {question: ANSWER[_named(question)].__name__ for question in asked} == asked


def test_the_record_is_drawn_with_the_fields_it_has() -> None:
    """A record holds JSON as it is, which no schema can be made of; so it is drawn by hand."""
    for drawn, real in ((SagaRecord, Record), (Word, Outgoing)):
        fields = [each.name for each in structs.fields(drawn)]
        assert fields == [each.name for each in structs.fields(real)]


def test_every_module_says_something() -> None:
    """An operation is told from another by its module."""
    speaking = {each["tags"][0]["name"] for each in DOCUMENT["operations"].values()}

    assert speaking == {module.value for module in Module}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _at(pointer: str) -> Any:
    part: Any = DOCUMENT
    for key in pointer.removeprefix("#/").split("/"):
        if not isinstance(part, dict) or key not in part:
            return None
        part = part[key]
    return part


def _matches(channel: Channel, subject: str) -> bool:
    pattern = re.escape(channel.address).replace(r"\{", "{").replace(r"\}", "}")
    return re.fullmatch(re.sub(r"\{\w+\}", r"[^.]+", pattern), subject) is not None


def _asked() -> Iterator[tuple[str, str]]:
    """Yield question and answer of every ``ask(Question(...), Answer)`` in the source."""
    for package in ASKING:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("bus.ask"):
                    question, answer = node.args[:2]
                    if isinstance(question, ast.Call):
                        yield ast.unparse(question.func), ast.unparse(answer)


def _named(question: str) -> type[Any]:
    [found] = [each for each in ANSWERER if each.__name__ == question]
    return found
