"""Dead letters on a real broker: what they hold, and how their messages come back to life."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from msgspec import structs

from actors.runtime import dead_letters
from actors.runtime.bus import Bus
from actors.runtime.contract import GiveUp
from actors.runtime.dead_letters import (
    DeadLetters,
    Kept,
    NoLetterError,
    NoLettersError,
    NotReplayableError,
)
from actors.runtime.errors import NoStreamError
from actors.runtime.record import Record
from actors.runtime.wire import MSG_ID, SCHEMA, encode, outgoing
from schemas.base import Module
from schemas.commands import Wake
from schemas.events import VideoIngested
from subjects import build
from subjects.topology import CMD, DLQ, EVT, SAGA, TIMER, Consumer
from tests.builders import header
from tests.integration.runtime.world import (
    SOON_S,
    Seen,
    apply,
    consumer,
    fact,
    settled,
    stored,
    worker,
    working,
)
from tests.unit.economic_engine.words import top_up

HEARD = consumer(filters=("evt.video_intake.>",))
TOLD = consumer(stream=CMD, filters=("cmd.economic_engine.>",))
WOKEN = consumer(stream=TIMER, filters=(build.due_for(Module.APPROVAL),))
STEPPED = consumer(stream=SAGA, filters=("saga.*",))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class _Actor:
    """Refuses until it is mended."""

    def __init__(self) -> None:
        self.heard: Seen[str] = Seen()
        self.mended = False

    async def receive(self, heard: Any) -> Sequence[Any]:
        """Refuse, or take it down."""
        if not self.mended:
            raise GiveUp("the provider is unknown")
        self.heard.add(heard.event_id)
        return []


async def bury(
    bus: Bus, subject: str, data: bytes, headers: dict[str, str], of: Consumer, kind: Any
) -> Kept:
    """Publish a message nobody can answer; return its letter."""
    before = await _state(bus, DLQ)
    await bus.publish(subject, data, headers)
    async with working(worker(bus, of, _Actor().receive, kind=kind)):
        with anyio.fail_after(SOON_S):
            while (await _state(bus, DLQ))["last_seq"] == before["last_seq"]:
                await checkpoint()
        await settled(bus, of)
    [newest] = await DeadLetters(bus=bus).newest(limit=1)
    return newest


async def bury_fact(bus: Bus, number: int = 1) -> Kept:
    """Bury a fact; return its letter."""
    order = outgoing(fact(number))
    headers = order.headers | {"traceparent": TRACEPARENT}
    return await bury(bus, order.subject, bytes(order.data), headers, HEARD, VideoIngested)


async def hear(bus: Bus, of: Consumer, kind: Any, count: int = 1) -> list[str]:
    """Return the ids that a mended actor hears."""
    actor = _Actor()
    actor.mended = True
    async with working(worker(bus, of, actor.receive, kind=kind)):
        await actor.heard.until(count)
        await settled(bus, of)
    return actor.heard.items


async def test_a_letter_holds_all_there_is_to_know(bus: Bus) -> None:
    """Who finds it months later has nothing else."""
    await apply(bus, HEARD)
    kept = await bury_fact(bus)

    letter = kept.letter
    assert kept.trace_id == TRACE
    assert (letter.reason, letter.error) == ("gave_up", "the provider is unknown")
    assert (letter.stream, letter.consumer, letter.sequence) == (EVT, HEARD.name, 1)
    assert (letter.module, letter.delivered, letter.cut) == (Module.APPROVAL, 1, False)
    assert letter.subject == outgoing(fact(1)).subject
    assert letter.headers[MSG_ID] == "evt_1"
    assert letter.headers[SCHEMA] == "VideoIngested"
    assert letter.headers["traceparent"] == TRACEPARENT
    assert msgspec.json.decode(letter.body, type=VideoIngested).event_id == "evt_1"


async def test_the_original_in_a_work_queue_is_gone(bus: Bus) -> None:
    """It would be delivered for ever, or stay where nobody looks and fill the queue."""
    await apply(bus, TOLD, streams=[CMD, DLQ])
    order = outgoing(top_up())
    kept = await bury(bus, order.subject, bytes(order.data), order.headers, TOLD, type(top_up()))

    state = await _state(bus, CMD)
    assert (state["last_seq"], state["messages"]) == (1, 0)
    assert msgspec.json.decode(kept.letter.body, type=type(top_up())) == top_up()


async def test_a_replay_says_the_message_again_and_takes_the_letter_away(bus: Bus) -> None:
    """Byte for byte, with the headers it had, under an id of its own."""
    await apply(bus, HEARD)
    kept = await bury_fact(bus)

    done = await DeadLetters(bus=bus).replay(kept)

    [first, again] = await stored(bus, EVT)
    assert (done.stream, done.sequence, done.repeated) == (EVT, 2, False)
    assert (again.subject, again.data) == (first.subject, first.data)
    assert again.message_id.startswith(f"replay:{kept.sequence}:")
    headers = await _headers(bus, EVT, 2)
    assert (headers[SCHEMA], headers["traceparent"]) == ("VideoIngested", TRACEPARENT)
    assert await hear(bus, HEARD, VideoIngested) == ["evt_1"]
    assert await stored(bus, DLQ) == []


async def test_under_its_old_id_the_stream_would_drop_it(bus: Bus) -> None:
    """Which is why a replay has an id of its own."""
    await apply(bus, HEARD)
    kept = await bury_fact(bus)
    letter = kept.letter

    ack = await bus.publish(letter.subject, letter.body.encode(), letter.headers)

    assert ack.duplicate


async def test_a_replay_that_broke_off_is_not_done_twice(bus: Bus) -> None:
    """It died after the message was stored and before the letter was taken away."""
    await apply(bus, HEARD)
    kept = await bury_fact(bus)
    letters = DeadLetters(bus=bus)
    await letters.replay(kept)

    again = await letters.replay(kept)

    assert again.repeated
    assert len(await stored(bus, EVT)) == 2


async def test_a_command_goes_back_into_its_queue(bus: Bus) -> None:
    """The original is gone from there; the letter is all that is left of it."""
    await apply(bus, TOLD, streams=[CMD, DLQ])
    order = outgoing(top_up())
    kept = await bury(bus, order.subject, bytes(order.data), order.headers, TOLD, type(top_up()))
    await DeadLetters(bus=bus).replay(kept)

    assert await hear(bus, TOLD, type(top_up())) == [top_up().event_id]
    assert (await _state(bus, CMD))["messages"] == 0


async def test_a_timer_that_went_off_goes_off_again(bus: Bus) -> None:
    """On the subject it is delivered on; set anew, it would wait for a time that is over."""
    await apply(bus, WOKEN, streams=[TIMER, DLQ])
    wake = Wake(**header("evt_1"), purpose="deadline")  # type: ignore[arg-type]
    subject = build.due(Module.APPROVAL, wake.tenant_id, wake.correlation_id, "deadline")
    scheduled = {
        MSG_ID: "timer:evt_1",
        SCHEMA: "Wake",
        "Nats-Scheduler": build.timer("job_1", "deadline"),
        "Nats-Schedule-Next": "purge",
    }
    kept = await bury(bus, subject, encode(wake), scheduled, WOKEN, Wake)

    done = await DeadLetters(bus=bus).replay(kept)

    assert (done.subject, done.stream) == (subject, TIMER)
    assert await hear(bus, WOKEN, Wake) == ["evt_1"]
    headers = await _headers(bus, TIMER, done.sequence)
    assert {name for name in headers if name.startswith("Nats-Sched")} == set()


async def test_a_replay_that_fails_again_is_a_new_letter(bus: Bus) -> None:
    """With the newest error, and to be replayed as often as it takes."""
    await apply(bus, HEARD)
    letters = DeadLetters(bus=bus)
    first = await bury_fact(bus)
    await letters.replay(first)
    await bury_fact(bus, 2)
    [again, other] = await letters.newest(limit=10)
    await letters.replay(again)

    assert (again.letter.sequence, other.letter.sequence) == (2, 3)
    assert msgspec.json.decode(again.letter.body, type=VideoIngested).event_id == "evt_1"
    assert await hear(bus, HEARD, VideoIngested) == ["evt_1"]


async def test_a_letter_that_cannot_be_stored_again_is_kept(bus: Bus) -> None:
    """Its stream may be gone or full; then it is all there is."""
    await apply(bus, HEARD)
    kept = await bury_fact(bus)
    await bus.api(f"STREAM.DELETE.{EVT}")

    with pytest.raises(NoStreamError):
        await DeadLetters(bus=bus).replay(kept)

    assert await DeadLetters(bus=bus).find(kept.sequence) == kept


# -- what cannot be replayed ----------------------------------------------------------------------


async def test_half_a_body_is_not_replayed(bus: Bus) -> None:
    """A cut body may even be read, as another message."""
    await apply(bus, HEARD)
    subject = outgoing(fact(1)).subject
    kept = await bury(bus, subject, b'"' * 1_000_000, {}, HEARD, VideoIngested)

    with pytest.raises(
        NotReplayableError, match=r"lost its end; EVT may still have all of it at 1"
    ):
        await DeadLetters(bus=bus).replay(kept)

    assert await DeadLetters(bus=bus).find(kept.sequence) == kept
    assert len(await stored(bus, EVT)) == 1


async def test_of_a_command_nothing_more_is_to_be_had(bus: Bus) -> None:
    """The queue gives up what it delivered, so nobody should go and look for it."""
    await apply(bus, TOLD, streams=[CMD, DLQ])
    subject = outgoing(top_up()).subject
    kept = await bury(bus, subject, b'"' * 1_000_000, {}, TOLD, type(top_up()))

    with pytest.raises(NotReplayableError, match="CMD has it no more"):
        await DeadLetters(bus=bus).replay(kept)


async def test_a_body_that_is_no_text_is_not_replayed(bus: Bus) -> None:
    """The letter holds what could be read of it, which is another body."""
    await apply(bus, HEARD)
    subject = outgoing(fact(1)).subject
    kept = await bury(bus, subject, b'{"event_type":"\xff\xfe"}', {}, HEARD, VideoIngested)

    with pytest.raises(NotReplayableError, match="no text"):
        await DeadLetters(bus=bus).replay(kept)


async def test_a_saga_record_is_never_replayed(bus: Bus) -> None:
    """Published again, an old record is the newest: the job would fall back to that state."""
    await apply(bus, STEPPED, streams=[SAGA, DLQ])
    raw = msgspec.Raw(b"{}")
    record = Record(key="job_1", step=1, applied=(), state=raw, said=())
    body = encode(record).replace(b'"step":1', b'"step":"?"')
    kept = await bury(bus, build.saga("job_1"), body, {}, STEPPED, Record)

    with pytest.raises(NotReplayableError, match="taken for newer"):
        await DeadLetters(bus=bus).replay(kept)

    assert len(await stored(bus, SAGA)) == 1


async def test_what_is_no_letter_is_shown_and_can_be_dropped(bus: Bus) -> None:
    """One stranger in the stream must not hide the letters around it."""
    await apply(bus, HEARD)
    letters = DeadLetters(bus=bus)
    await bus.publish(build.dead_letter(Module.GALLERY), b"\xffno letter", {})
    await bury_fact(bus)
    [stranger, kept] = await letters.newest(limit=5)

    assert (stranger.letter.module, stranger.letter.reason) == ("gallery", dead_letters.NO_LETTER)
    assert kept.letter.reason == "gave_up"
    with pytest.raises(NotReplayableError, match="no module buried it"):
        await letters.replay(stranger)
    assert await letters.drop(stranger.sequence)


# -- looking --------------------------------------------------------------------------------------


async def _fill(bus: Bus, *modules: Module) -> None:
    await apply(bus, HEARD)
    kept = await bury_fact(bus)
    await DeadLetters(bus=bus).drop(kept.sequence)
    for number, module in enumerate(modules):
        letter = structs.replace(kept.letter, module=module, sequence=number + 100)
        await bus.publish(build.dead_letter(module), encode(letter), {})


async def test_the_newest_letters_are_found_behind_any_gap(bus: Bus) -> None:
    """Replayed and dropped letters leave holes, and one module's lie far apart."""
    await _fill(bus, *[Module.GALLERY] * 3, *[Module.APPROVAL] * 40)
    letters = DeadLetters(bus=bus)
    for sequence in range(20, 43):
        await letters.drop(sequence)

    newest = await letters.newest(limit=3)
    of_gallery = await letters.newest(limit=2, module=Module.GALLERY)
    everything = await letters.newest(limit=100)

    assert [each.sequence for each in newest] == [19, 43, 44]
    assert [each.sequence for each in of_gallery] == [3, 4]
    assert [each.sequence for each in everything] == [*range(2, 20), 43, 44]
    assert await letters.counts() == {"approval": 17, "gallery": 3}


async def test_all_of_a_module_are_those_there_were_at_the_start(bus: Bus) -> None:
    """A replay that fails at once comes back as a letter; it must not be replayed for ever."""
    await _fill(bus, Module.GALLERY, Module.APPROVAL, Module.GALLERY)
    letters = DeadLetters(bus=bus)
    found = []
    async for each in letters.every(module=Module.GALLERY):
        found.append(each.sequence)
        await bus.publish(build.dead_letter(Module.GALLERY), encode(each.letter), {})

    assert found == [2, 4]


async def test_a_letter_that_is_gone_is_told_from_one_that_never_was(bus: Bus) -> None:
    """The first has been done already; the second is a typing error."""
    await _fill(bus, Module.GALLERY)
    letters = DeadLetters(bus=bus)
    assert await letters.drop(2)
    assert not await letters.drop(2)
    assert not await letters.drop(77)

    with pytest.raises(NoLetterError, match="replayed, dropped or too old") as gone:
        await letters.find(2)
    with pytest.raises(NoLetterError, match="the last one is 2") as never:
        await letters.find(77)
    assert (gone.value.kept_before, never.value.kept_before) == (True, False)


async def test_an_empty_stream_has_no_letters(bus: Bus) -> None:
    """Which is how it should be."""
    await apply(bus)
    letters = DeadLetters(bus=bus)

    assert await letters.newest(limit=5) == []
    assert [each async for each in letters.every()] == []
    assert await letters.counts() == {}


async def test_a_broker_that_was_never_set_up_is_explained(bus: Bus) -> None:
    """It is not the same as having no dead letters."""
    letters = DeadLetters(bus=bus)
    for look in (letters.newest(limit=5), letters.find(1), letters.drop(1), letters.counts()):
        with pytest.raises(NoLettersError, match="effectmesh topology apply"):
            await look


async def _state(bus: Bus, stream: str) -> dict[str, Any]:
    return dict((await bus.api(f"STREAM.INFO.{stream}"))["state"])


async def _headers(bus: Bus, stream: str, sequence: int) -> dict[str, str]:
    reply = await bus._client.request(
        f"$JS.API.DIRECT.GET.{stream}", b'{"seq":%d}' % sequence, timeout=5
    )
    return dict(reply.headers or {})
