"""What goes over the wire: subject, headers, body."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from msgspec import structs

from actors.runtime.contract import Later, Put
from actors.runtime.wire import Delivery, Outgoing, outgoing
from schemas.base import Module, TenantId
from schemas.commands import Wake
from schemas.events import VideoIngested
from subjects.build import InvalidTokenError
from subjects.topology import TIMER
from tests.builders import video_ingested
from tests.unit.runtime.fakes import wake


def later(at: datetime | None, name: str = "deadline") -> Later:
    """Return a timer of the job."""
    return Later(
        key="job_1", name=name, module=Module.ORCHESTRATOR, at=at, message=wake("evt_wake")
    )


def test_a_message_goes_out_under_its_own_id() -> None:
    """``Nats-Msg-Id`` is what lets the stream drop the second of two."""
    said = video_ingested("evt_1")

    order = outgoing(said)

    assert order.subject == "evt.video_intake.VideoIngested.tnt_1.job_1"
    assert order.headers == {"Nats-Msg-Id": "evt_1", "Schema": "VideoIngested"}
    assert msgspec.json.decode(bytes(order.data), type=VideoIngested) == said


def test_a_timer_is_a_scheduled_message_that_comes_back_to_its_module() -> None:
    """The broker keeps it, so it fires whoever died meanwhile."""
    order = outgoing(later(datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)))

    assert order.subject == "timer.job_1.deadline"
    assert order.headers["Nats-Schedule"] == "@at 2026-03-01T12:30:00.250Z"
    assert order.headers["Nats-Schedule-Target"] == "due.orchestrator.tnt_1.job_1.deadline"
    assert msgspec.json.decode(bytes(order.data), type=Wake) == wake("evt_wake")


def test_the_id_of_a_timer_is_not_the_id_of_its_message() -> None:
    """Both are stored in one stream: the message would be dropped as a duplicate of its timer."""
    order = outgoing(later(datetime(2026, 3, 1, tzinfo=UTC)))

    assert order.headers["Nats-Msg-Id"] not in ("", "evt_wake")


def test_a_timer_s_time_is_sent_in_utc() -> None:
    """The server reads RFC 3339, and everybody else reads this subject in UTC."""
    at = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    assert outgoing(later(at)).headers["Nats-Schedule"] == "@at 2026-03-01T12:00:00.000Z"


def test_a_timer_without_a_time_empties_its_subject() -> None:
    """That is how a timer is taken away."""
    assert outgoing(later(None)) == Outgoing(subject="timer.job_1.deadline", purge=TIMER)


def test_a_value_goes_to_its_bucket_as_it_is() -> None:
    """The bytes are the value; a watcher decodes them."""
    order = outgoing(Put(bucket="ROUTING", key="override.fx-a", value=b'{"a":1}'))

    assert order.subject == "$KV.ROUTING.override.fx-a"
    assert bytes(order.data) == b'{"a":1}'
    assert order.headers == {}


def test_what_is_ready_to_go_stays_as_it_is() -> None:
    """Words from a saga record are said again as they were stored."""
    order = outgoing(video_ingested())

    assert outgoing(order) is order


@pytest.mark.parametrize("at", [datetime(2026, 3, 1, tzinfo=UTC), None])
def test_words_survive_the_record_they_are_stored_in(at: datetime | None) -> None:
    """A crash between storing and saying must not change a letter."""
    said = (outgoing(later(at)), outgoing(video_ingested()), outgoing(_put()))

    again = msgspec.json.decode(msgspec.json.encode(said), type=tuple[Outgoing, ...])

    assert [_plain(each) for each in again] == [_plain(each) for each in said]


def test_a_message_without_a_tenant_cannot_be_said() -> None:
    """It would have a subject with an empty token; nobody would hear it."""
    with pytest.raises(InvalidTokenError):
        outgoing(structs.replace(video_ingested(), tenant_id=TenantId("")))


NINE = "$JS.ACK.EVT.approval.3.41.7.1700000000000000000.12"
TWELVE = "$JS.ACK.hub.AbCdEf12.EVT.approval.3.41.7.1700000000000000000.12.x9Qz"


@pytest.mark.parametrize("reply", [NINE, TWELVE, TWELVE.rpartition(".")[0]])
def test_a_delivery_is_read_from_either_form_of_the_reply(reply: str) -> None:
    """Servers behind a leaf node, and newer ones, put domain and account first."""
    assert Delivery.of(reply) == Delivery(
        stream="EVT",
        consumer="approval",
        delivered=3,
        sequence=41,
        consumer_sequence=7,
        pending=12,
    )


def _put() -> Put:
    return Put(bucket="CONTROL", key="drain", value=b"true")


def _plain(order: Outgoing) -> tuple[str, bytes, dict[str, str], str]:
    return order.subject, bytes(order.data), order.headers, order.purge
