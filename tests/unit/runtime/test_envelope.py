"""A message is what its subject says, or it is not believed."""

from __future__ import annotations

import pytest
from msgspec import Struct, structs

from actors.runtime.dead_letters import trace_of
from actors.runtime.envelope import mismatch
from schemas.base import JobId, Message, Module, TenantId
from subjects import build
from tests.builders import task_succeeded, video_ingested
from tests.contract.messages.examples import kinds, read
from tests.unit.economic_engine.words import top_up
from tests.unit.runtime.fakes import wake

DUE = build.due(Module.APPROVAL, "tnt_1", "job_1", "reminder")


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_whatever_we_say_is_what_its_subject_says(kind: type[Message]) -> None:
    """A check that is too strict would bury our own messages."""
    said = structs.replace(read(kind), tenant_id=TenantId("tnt_1"), correlation_id=JobId("job_1"))
    try:
        subject = build.subject_of(said)
    except build.UnroutedMessageError:
        subject = DUE

    assert mismatch(subject, said, kind.__name__) == ""


@pytest.mark.parametrize(
    ("subject", "said", "what"),
    [
        (build.fact(video_ingested()), task_succeeded(), "kind"),
        (build.fact(video_ingested()), wake("evt_1"), "kind"),
        (DUE, video_ingested(), "kind"),
        (build.due(Module.APPROVAL, "tnt_2", "job_1", "reminder"), wake("evt_1"), "tenant"),
        (build.due(Module.APPROVAL, "tnt_1", "job_2", "reminder"), wake("evt_1"), "job"),
        (build.command(top_up()), structs.replace(top_up(), tenant_id=TenantId("x")), "tenant"),
        (build.fact(video_ingested()), structs.replace(video_ingested(), tenant_id=""), "tenant"),
        (build.fact(video_ingested()), structs.replace(video_ingested(), correlation_id=""), "job"),
    ],
)
def test_what_differs_is_named(subject: str, said: Message, what: str) -> None:
    """Who finds the letter must see which of the two lied."""
    assert mismatch(subject, said).startswith(f"its subject names the {what} ")


def test_a_header_of_another_version_is_named() -> None:
    """Its fields may have the same names and another meaning."""
    said = video_ingested()

    assert mismatch(build.fact(said), said, "VideoIngested.v2") == (
        "written as VideoIngested.v2, but its body is VideoIngested"
    )
    assert mismatch(build.fact(said), said) == ""


def test_a_render_s_subject_names_no_job() -> None:
    """It names a queue; whose job it is stands in the body alone."""
    assert build.addressed(build.gpu_work("standard", "fx-a")) is None
    assert mismatch(build.gpu_work("standard", "fx-a"), top_up()) == ""


class _Record(Struct):
    key: str


def test_what_is_no_message_has_no_envelope() -> None:
    """Saga records go through the same worker."""
    assert mismatch(build.saga("job_1"), _Record("job_2"), "anything") == ""


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "4bf9"),
        ({"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "4bf9"),
        ({"traceparent": "nonsense"}, ""),
        ({"Schema": "a-b-c-d"}, ""),
        ({}, ""),
    ],
)
def test_a_trace_id_is_read_from_the_header(headers: dict[str, str], trace: str) -> None:
    """It is what a search in the traces starts with."""
    assert trace_of(headers)[:4] == trace
