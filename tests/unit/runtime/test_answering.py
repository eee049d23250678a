"""How a message ends: acknowledged, put off, or buried with everything needed to look at it."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import anyio
import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from actors.runtime import answering
from actors.runtime.answering import (
    ACK,
    IN_PROGRESS,
    LETTER_BYTES,
    NAK_BASE_S,
    NAK_CAP_S,
    TERMINATE,
    Answering,
    DeadLetter,
)
from actors.runtime.contract import GiveUp, TryLater
from actors.runtime.errors import BusUnavailableError, NoStreamError
from actors.runtime.wire import Sayable, outgoing
from schemas.base import Module
from schemas.commands import Wake
from subjects.topology import Consumer
from tests.builders import video_ingested
from tests.unit.runtime.fakes import wake, words_of

CONSUMER = Consumer(
    stream="EVT",
    name="approval",
    filters=("evt.>",),
    description="a test",
    max_deliver=3,
    patience=10,
)
ANSWER = video_ingested("evt_answer")


class StoreAway(Exception):
    """What the actor's store raises while it does not answer."""


class _Bus:
    """Keeps what is said, and answers to messages, in the order they happen."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, str]] = []
        self.letters: list[DeadLetter] = []
        self.letter_ids: list[str] = []
        self.refusal: Exception | None = None

    async def say(self, said: Iterable[Sayable]) -> None:
        """Store everything or fail."""
        orders = [outgoing(each) for each in said]
        await anyio.lowlevel.checkpoint()
        if self.refusal:
            raise self.refusal
        self.happened += [("stored", words_of(order)) for order in orders]

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Store a dead letter or fail."""
        if self.refusal:
            raise self.refusal
        self.happened.append(("stored", subject))
        self.letters.append(msgspec.json.decode(data, type=DeadLetter))
        self.letter_ids.append(headers["Nats-Msg-Id"])
        assert len(data) <= LETTER_BYTES

    async def send(self, subject: str, data: bytes) -> None:
        """Take an answer to a message."""
        self.happened.append((subject, data.decode()))


class _World:
    """One actor behind a fake bus."""

    def __init__(self, receive: Callable[[Any], Awaitable[Sequence[Any]]]) -> None:
        self.bus = _Bus()
        self.answering = Answering(
            bus=self.bus,  # type: ignore[arg-type]
            module=Module.APPROVAL,
            decoder=msgspec.json.Decoder(Wake),
            receive=receive,
            dice=random.Random(1),
            away=(StoreAway,),
        )

    async def deliver(
        self, *, body: bytes | None = None, delivered: int = 1, sequence: int = 41
    ) -> bytes:
        """Deliver one message and return the last answer to it."""
        message = delivery(body=body, delivered=delivered, sequence=sequence)
        self.answering.begin(message)
        await self.answering.answer(message, CONSUMER)
        to, answer = self.bus.happened[-1]
        assert to == message.reply
        return answer.encode()


def delivery(*, body: bytes | None = None, delivered: int = 1, sequence: int = 41) -> Msg:
    """Return a message as the server delivers it."""
    return Msg(
        _client=Client(),
        subject="due.approval.tnt_1.job_1.deadline",
        reply=f"$JS.ACK.EVT.approval.{delivered}.{sequence}.7.1700000000000000000.12",
        data=msgspec.json.encode(wake("evt_1")) if body is None else body,
        headers={"Nats-Msg-Id": "evt_1", "traceparent": "00-a-b-01"},
    )


def raising(error: Exception) -> Callable[[Any], Awaitable[Sequence[Any]]]:
    """Return an actor that only fails."""

    async def receive(_: Any) -> Sequence[Any]:
        raise error

    return receive


async def answers(heard: Wake) -> Sequence[Any]:
    """Answer everything the same."""
    return [ANSWER]


def delay_of(nak: bytes) -> float:
    """Return the seconds a redelivery was asked for after."""
    assert nak.startswith(b"-NAK "), nak
    return float(json.loads(nak.removeprefix(b"-NAK "))["delay"]) / 1e9


async def test_a_message_is_acknowledged_after_its_answer_is_stored() -> None:
    """The other way round, a crash in between would lose the answer."""
    world = _World(answers)

    verdict = await world.deliver()

    assert verdict == ACK
    assert [what for what, _ in world.bus.happened] == ["stored", delivery().reply]
    assert world.answering.done == 1


async def test_a_message_without_an_answer_is_acknowledged_too() -> None:
    """Hearing something may be all there is to do."""

    async def silent(_: Any) -> Sequence[Any]:
        return []

    assert await _World(silent).deliver() == ACK


async def test_try_later_is_a_redelivery_after_the_time_it_names() -> None:
    """The actor knows when it makes sense to ask again."""
    world = _World(raising(TryLater("no route yet", retry_after=2.5)))

    assert delay_of(await world.deliver()) == 2.5
    assert world.bus.letters == []


async def test_being_put_off_does_not_count_as_a_failure() -> None:
    """A job may wait for a full disk longer than a bug may repeat."""
    world = _World(raising(TryLater("full")))
    for n in range(CONSUMER.max_deliver * 2):
        await world.deliver(delivered=n + 1)

    assert world.bus.letters == []


async def test_a_message_that_is_put_off_for_ever_is_buried_in_the_end() -> None:
    """Patience has a bound, or one message would circle for ever."""
    world = _World(raising(TryLater("full")))

    assert await world.deliver(delivered=CONSUMER.patience + 1) == TERMINATE
    [letter] = world.bus.letters
    assert letter.reason == "exhausted"


async def test_giving_up_makes_a_dead_letter_with_everything_in_it() -> None:
    """Somebody has to find out what it was and be able to play it again."""
    world = _World(raising(GiveUp("never asked for an approval")))

    assert await world.deliver() == TERMINATE
    [letter] = world.bus.letters
    assert letter == DeadLetter(
        module="approval",
        stream="EVT",
        consumer="approval",
        sequence=41,
        subject="due.approval.tnt_1.job_1.deadline",
        delivered=1,
        error="never asked for an approval",
        reason="gave_up",
        headers={"Nats-Msg-Id": "evt_1", "traceparent": "00-a-b-01"},
        body=msgspec.json.encode(wake("evt_1")).decode(),
    )
    assert world.bus.letter_ids == ["dlq:EVT:approval:41"]


@pytest.mark.parametrize("body", [b"not json", b'{"event_type":"Unknown"}', b"\xff\xfe", b""])
async def test_poison_is_buried_without_asking_the_actor(body: bytes) -> None:
    """No delivery will ever make sense of it."""
    asked = []

    async def receive(heard: Any) -> Sequence[Any]:
        asked.append(heard)
        return []

    world = _World(receive)

    assert await world.deliver(body=body) == TERMINATE
    [letter] = world.bus.letters
    assert letter.reason == "poison"
    assert letter.error
    assert letter.body == body.decode("utf-8", "replace")
    assert asked == []


async def test_a_bug_is_tried_again_later_and_later_and_then_buried() -> None:
    """Most bugs depend on a moment; those that do not must not circle for ever."""
    world = _World(raising(KeyError("task_1")))
    delays = [
        delay_of(await world.deliver(delivered=n + 1)) for n in range(CONSUMER.max_deliver - 1)
    ]

    last = await world.deliver(delivered=CONSUMER.max_deliver)

    assert all(NAK_BASE_S <= each <= NAK_CAP_S for each in delays)
    assert last == TERMINATE
    [letter] = world.bus.letters
    assert (letter.reason, letter.error) == ("exhausted", "KeyError: 'task_1'")
    assert world.answering.failed == CONSUMER.max_deliver


async def test_what_cannot_be_said_because_of_a_bug_is_a_bug() -> None:
    """An answer without a tenant has no subject: that is the actor's fault, not the broker's."""

    async def nameless(_: Any) -> Sequence[Any]:
        return [msgspec.structs.replace(ANSWER, tenant_id="")]

    world = _World(nameless)
    for n in range(CONSUMER.max_deliver):
        await world.deliver(delivered=n + 1)

    [letter] = world.bus.letters
    assert letter.error.startswith("InvalidTokenError")


@pytest.mark.parametrize(
    "error", [BusUnavailableError("evt.a", after_s=30), NoStreamError("evt.a")]
)
async def test_an_absent_broker_is_nobody_s_failure(error: Exception) -> None:
    """Its message comes again until the broker is back; it must not end as a dead letter."""
    world = _World(answers)
    world.bus.refusal = error
    for n in range(CONSUMER.max_deliver * 2):
        assert delay_of(await world.deliver(delivered=n + 1)) > 0

    world.bus.refusal = None
    assert await world.deliver(delivered=9) == ACK


async def test_an_absent_store_is_nobody_s_failure_either() -> None:
    """A database that restarts must not make dead letters of everything that was under way."""
    world = _World(raising(StoreAway("connection refused")))
    for n in range(CONSUMER.max_deliver * 2):
        assert delay_of(await world.deliver(delivered=n + 1)) == answering.AWAY_S

    assert world.bus.letters == []
    assert world.answering.failed == 0


async def test_a_message_is_kept_when_its_dead_letter_cannot_be_stored() -> None:
    """Terminated without a letter it would be gone."""
    world = _World(raising(GiveUp("no")))
    world.bus.refusal = NoStreamError("dlq.approval")

    assert delay_of(await world.deliver()) > 0


async def test_a_letter_too_large_for_the_broker_loses_its_end_and_says_so() -> None:
    """Quotes double inside JSON; a letter the broker refuses would take the worker down."""
    world = _World(raising(GiveUp("no")))

    assert await world.deliver(body=b'{"a":"' + b'"' * 900_000) == TERMINATE
    [letter] = world.bus.letters
    assert letter.cut
    assert letter.reason == "poison"
    assert letter.body.startswith('{"a":"""')


async def test_failures_of_one_message_are_not_another_s() -> None:
    """Eight messages that fail once each are not one that fails eight times."""
    world = _World(raising(ValueError("odd")))
    for n in range(20):
        delay_of(await world.deliver(sequence=n + 1))

    assert world.bus.letters == []


async def test_the_count_of_failures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that runs for months must not remember every message that ever failed."""
    monkeypatch.setattr(answering, "FAILURES_KEPT", 4)
    world = _World(raising(ValueError("odd")))
    for n in range(20):
        await world.deliver(sequence=n + 1)

    assert len(world.answering._failures) <= 4


async def test_a_long_handler_beats_and_a_finished_one_does_not() -> None:
    """The server would give its message to somebody else."""
    started, go_on = anyio.Event(), anyio.Event()

    async def slow(_: Any) -> Sequence[Any]:
        started.set()
        await go_on.wait()
        return []

    world = _World(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.deliver)
        await started.wait()
        assert world.answering.under_way == 1
        await world.answering.beat(60.0)
        assert world.bus.happened == []
        await world.answering.beat(0.0)
        assert world.bus.happened == [(delivery().reply, IN_PROGRESS.decode())]
        go_on.set()

    await world.answering.beat(0.0)
    assert [what for _, what in world.bus.happened] == [IN_PROGRESS.decode(), ACK.decode()]
    assert world.answering.under_way == 0
