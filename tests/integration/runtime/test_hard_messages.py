"""What nobody can answer is buried and the queue goes on; what comes five times is done once."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import asyncpg
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from msgspec import structs
from nats.aio.msg import Msg

from actors.economic_engine.actor import EconomicEngine
from actors.economic_engine.postgres import PostgresLedger
from actors.runtime import answering, ordering, provision
from actors.runtime.answering import DeadLetter
from actors.runtime.bus import Bus
from actors.runtime.contract import FrozenClock
from actors.runtime.host import Hosted, run_hosted
from actors.runtime.record import Record, Recorded, StreamLog
from actors.runtime.wire import MSG_ID, SCHEMA, Delivery, encode, outgoing
from economics.pricing import PRICES
from effectmesh.database import migrate, pooled
from effectmesh.embedded.nats import MAX_PAYLOAD_BYTES
from schemas.asks import ANY_TENANT
from schemas.base import JobId, Message, Module, TenantId
from schemas.commands import HoldTokens, ReleaseTokens, TopUpWallet
from schemas.events import AdminRejected, LateAttemptPriced, TaskSucceeded, VideoIngested
from subjects import build
from subjects.topology import CMD, DLQ, EVT, SAGA, Consumer
from tests.builders import TENANT, admin_rejected, task_succeeded
from tests.integration.runtime.test_saga import Count, Counting
from tests.integration.runtime.world import (
    SOON_S,
    Seen,
    apply,
    consumer,
    declared,
    fact,
    info,
    letters,
    settled,
    stored,
    stream_named,
    worker,
    working,
)
from tests.unit.economic_engine.words import hold_tokens, late_attempt, release_tokens, top_up

HEARD = consumer(filters=("evt.video_intake.>",), max_deliver=3)
TOLD = consumer(stream=CMD, filters=("cmd.economic_engine.>",), max_deliver=3)
BAD = 666
TIMES = 5
CONSUMERS = Path(__file__).parents[3] / "nats" / "consumers"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeliver at once instead of half a second later and more."""
    monkeypatch.setattr(answering, "NAK_BASE_S", 0.01)
    monkeypatch.setattr(answering, "NAK_CAP_S", 0.02)


# -- nobody can answer it -------------------------------------------------------------------------


class Hard(NamedTuple):
    """A message that cannot be answered, the reason its letter gives, and a word of the error."""

    body: bytes
    reason: str
    why: str
    schema: str = ""


def _body(**changes: Any) -> bytes:
    """Return the bad fact as it would be sent, with something else in its place."""
    return encode(structs.replace(fact(BAD), **changes))


def _as_large_as_they_get() -> bytes:
    """Return a fact that is right in every way and fills the server's largest message."""
    request = structs.replace(fact(BAD).payload.request, wish="")
    bare = len(_body(payload=structs.replace(fact(BAD).payload, request=request)))
    wish = structs.replace(request, wish="x" * (MAX_PAYLOAD_BYTES - bare))
    return _body(payload=structs.replace(fact(BAD).payload, request=wish))


def _deep(levels: int = 100_000) -> bytes:
    return b'{"event_type":"VideoIngested","new":' + b"[" * levels + b"]" * levels + b"}"


HARD: dict[str, Callable[[], Hard]] = {
    "always raises": lambda: Hard(_body(), "exhausted", "RuntimeError: no such codec"),
    "garbage": lambda: Hard(bytes(range(256)), "poison", "malformed"),
    "nothing": lambda: Hard(b"", "poison", "truncated"),
    "no text inside": lambda: Hard(
        _body().replace(b"job_1", b"job_\xff"), "poison", "can't decode byte 0xff"
    ),
    "nested without end": lambda: Hard(_deep(), "poison", "recursion"),
    "unknown type": lambda: Hard(
        _body().replace(b"VideoIngested", b"VideoDevoured"), "poison", "VideoDevoured"
    ),
    "another module's type": lambda: Hard(encode(task_succeeded()), "poison", "TaskSucceeded"),
    "unknown version in the body": lambda: Hard(
        _body().replace(b"VideoIngested", b"VideoIngested.v2"), "poison", "VideoIngested.v2"
    ),
    "unknown version in the header": lambda: Hard(
        _body(), "misaddressed", "written as VideoIngested.v2", schema="VideoIngested.v2"
    ),
    "a field of another kind": lambda: Hard(
        _body().replace(b'"payload":{', b'"payload":7,"was":{'), "poison", "payload"
    ),
    "1 MB of nothing": lambda: Hard(b" " * MAX_PAYLOAD_BYTES, "poison", "truncated"),
    "1 MB that raises": lambda: Hard(
        _as_large_as_they_get(), "exhausted", "RuntimeError: no such codec"
    ),
    "another tenant's": lambda: Hard(
        _body(tenant_id=TenantId("tnt_2")), "misaddressed", "tenant 'tnt_1', its body 'tnt_2'"
    ),
    "no tenant's": lambda: Hard(_body(tenant_id=TenantId("")), "misaddressed", "tenant"),
    "another job's": lambda: Hard(
        _body(correlation_id=JobId("job_2")), "misaddressed", "job 'job_1', its body 'job_2'"
    ),
}


class _Actor:
    """Remembers what it heard, and always raises on the bad message."""

    def __init__(self) -> None:
        self.heard: Seen[str] = Seen()

    async def receive(self, heard: Message) -> Sequence[Any]:
        """Take it down, or fail."""
        if heard.event_id == f"evt_{BAD}":
            raise RuntimeError("no such codec")
        self.heard.add(heard.event_id)
        return []


@pytest.mark.parametrize("name", HARD)
async def test_it_is_buried_with_its_body_and_the_queue_goes_on(bus: Bus, name: str) -> None:
    """Before it and behind it are other people's jobs."""
    hard = HARD[name]()
    await apply(bus, HEARD)
    actor = _Actor()
    headers = {SCHEMA: hard.schema} if hard.schema else {}
    async with working(worker(bus, HEARD, actor.receive)):
        await bus.say([fact(1)])
        await bus.publish(build.fact(fact(BAD)), hard.body, headers)
        await bus.say([fact(2), fact(3)])
        await actor.heard.until(3)
        letter = await _buried(bus)
        await settled(bus, HEARD)

    assert sorted(actor.heard.items) == ["evt_1", "evt_2", "evt_3"]
    assert letter.reason == hard.reason
    assert hard.why in letter.error
    assert (letter.stream, letter.consumer, letter.sequence) == (EVT, HEARD.name, 2)
    assert letter.headers == headers
    assert letter.body or not hard.body
    assert hard.body.decode("utf-8", "replace").startswith(letter.body)
    assert letter.cut == (len(hard.body) == MAX_PAYLOAD_BYTES)
    if not letter.cut:
        assert letter.body == hard.body.decode("utf-8", "replace")


async def test_the_kind_is_compared_too(bus: Bus) -> None:
    """Who may write one kind of fact must not say another in its place: it might be believed."""
    heard = consumer(filters=("evt.video_intake.>",))
    await apply(bus, heard)
    actor = _Actor()
    subject = build.fact(fact(1)).replace("VideoIngested", "VideoRejected")
    async with working(worker(bus, heard, actor.receive)):
        await bus.publish(subject, encode(fact(1)), {})
        letter = await _buried(bus)

    assert letter.error == "its subject names the kind 'VideoRejected', its body 'VideoIngested'"
    assert actor.heard.items == []


async def test_no_hard_message_stays_in_a_work_queue(bus: Bus) -> None:
    """There it would block what comes behind it once the queue is full."""
    await apply(bus, TOLD, streams=[CMD, DLQ])
    actor = _Actor()
    subject = build.command(top_up())
    bodies = [make().body for make in HARD.values()]
    bad = structs.replace(top_up(), event_id=f"evt_{BAD}")
    async with working(worker(bus, TOLD, actor.receive, kind=TopUpWallet)):
        for body in (*bodies, encode(bad)):
            await bus.publish(subject, body, {})
        await bus.say([top_up()])
        await actor.heard.until(1)
        await settled(bus, TOLD)

    assert (await bus.api(f"STREAM.INFO.{CMD}"))["state"]["messages"] == 0
    assert len(await letters(bus)) == len(bodies) + 1


async def _buried(bus: Bus) -> DeadLetter:
    with anyio.fail_after(SOON_S):
        while True:
            found = await letters(bus)
            if found:
                [letter] = found
                return letter


# -- it is tried again, later and later -----------------------------------------------------------


class _Naks:
    """Every answer to a message that asks for a redelivery, as the server gets it."""

    def __init__(self) -> None:
        self.asked: dict[int, list[tuple[float, float]]] = {}

    async def take(self, answer: Msg) -> None:
        """Remember when which delay was asked for."""
        if answer.data.startswith(b"-NAK"):
            delay = msgspec.json.decode(answer.data.removeprefix(b"-NAK "))["delay"] / 1e9
            asked = self.asked.setdefault(Delivery.of(answer.subject).sequence, [])
            asked.append((time.monotonic(), delay))


async def test_redeliveries_are_spaced_ever_wider_and_not_in_step(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed together must not come back together, nor at once."""
    base, cap, tries, messages = 0.02, 0.16, 6, 12
    monkeypatch.setattr(answering, "NAK_BASE_S", base)
    monkeypatch.setattr(answering, "NAK_CAP_S", cap)
    heard = consumer(filters=("evt.video_intake.>",), max_deliver=tries)
    await apply(bus, heard)
    naks, deliveries = _Naks(), Seen[tuple[str, float]]()

    async def receive(message: VideoIngested) -> Sequence[Any]:
        deliveries.add((message.event_id, time.monotonic()))
        raise RuntimeError("no such codec")

    async with bus.subscribed(f"$JS.ACK.{EVT}.{heard.name}.>", naks.take):
        async with working(worker(bus, heard, receive, concurrency=messages)):
            await bus.say([fact(n) for n in range(messages)])
            await deliveries.until(tries * messages)
            await settled(bus, heard)
        await bus.barrier()

    for sequence, asked in naks.asked.items():
        came = [at for name, at in deliveries.items if name == f"evt_{sequence - 1}"]
        assert len(asked) == tries - 1
        for failure, ((_, delay), before, after) in enumerate(
            zip(asked, came, came[1:], strict=False), start=1
        ):
            assert base <= delay <= min(cap, base * 2**failure)
            assert after - before >= delay
    by_failure = zip(*naks.asked.values(), strict=True)
    delays = [[delay for _, delay in each] for each in by_failure]
    assert all(len(set(each)) == messages for each in delays)
    assert max(delays[-1]) > 2 * max(delays[0])


async def test_no_consumer_has_a_list_of_delays(bus: Bus) -> None:
    """Its first entry would replace the acknowledgement time, and a nak ignores all of them."""
    await apply(bus, HEARD)
    shipped = [path.read_text(encoding="utf-8") for path in sorted(CONSUMERS.glob("*.json"))]

    assert shipped
    assert not any("backoff" in msgspec.json.decode(each) for each in shipped)
    assert "backoff" not in (await info(bus, HEARD))["config"]


# -- it comes five times --------------------------------------------------------------------------


async def _as_if_forgotten(bus: Bus, said: Sequence[Message], dice: random.Random) -> None:
    """Say everything five times in any order, under ids the stream does not know any more."""
    copies = [(each, n) for each in said for n in range(TIMES)]
    dice.shuffle(copies)
    for each, n in copies:
        await bus.publish(build.subject_of(each), encode(each), {MSG_ID: f"{each.event_id}:{n}"})


async def test_within_the_window_the_stream_keeps_one(bus: Bus) -> None:
    """A producer that got no answer says it again."""
    await apply(bus, HEARD)
    actor = _Actor()
    for _ in range(TIMES):
        await bus.say([fact(2), fact(1)])
    async with working(worker(bus, HEARD, actor.receive)):
        await actor.heard.until(2)
        await settled(bus, HEARD)

    assert actor.heard.items == ["evt_2", "evt_1"]


async def test_a_saga_takes_a_step_once_however_late_the_repeat(bus: Bus) -> None:
    """The stream forgets an id after its window; the record remembers."""
    heard = consumer(filters=("evt.video_intake.>",), max_deliver=1000)
    await apply(bus, heard, streams=[EVT, DLQ, SAGA])
    await _shorten_window(bus, EVT)
    saga = Recorded(saga=Counting(), log=StreamLog(bus=bus), say=bus.say)
    said = [fact(n) for n in range(8)]
    async with working(worker(bus, heard, saga.receive)):
        for _ in range(TIMES):
            random.Random(1).shuffle(said)
            await _say_until_stored(bus, said)
        await _past(bus, heard, TIMES * len(said))

    [*_, last] = [msgspec.json.decode(each.data, type=Record) for each in await stored(bus, SAGA)]
    words = [each.message_id for each in await stored(bus, EVT, "evt.approval.>")]
    assert last.step == len(said)
    assert msgspec.json.decode(last.state, type=Count) == Count(total=len(said))
    assert len(await stored(bus, EVT, "evt.video_intake.>")) == TIMES * len(said)
    assert sorted(words) == sorted(set(words))
    assert len(words) == 2 * len(said)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Return a database with every table."""
    async with pooled(database, size=4) as opened:
        await migrate(opened)
        yield opened


@pytest.mark.parametrize("seed", range(3))
async def test_money_moves_once_however_often_and_in_which_order_it_is_asked_for(
    bus: Bus, pool: asyncpg.Pool, seed: int
) -> None:
    """Five orders to pay are one payment; a release may overtake the hold it is for."""
    costs = consumer("costs", filters=("evt.execution.>",))
    await apply(bus, TOLD, costs, streams=[EVT, CMD, DLQ])
    ledger = PostgresLedger(pool=pool)
    engine = EconomicEngine(ledger=ledger, book=PRICES, clock=FrozenClock())
    orders = [top_up(), hold_tokens(), release_tokens(), top_up(name="t2")]
    results = [task_succeeded(), late_attempt()]
    kinds = HoldTokens | ReleaseTokens | TopUpWallet
    dice = random.Random(seed)
    await _as_if_forgotten(bus, orders, dice)
    await _as_if_forgotten(bus, results, dice)
    async with working(
        worker(bus, TOLD, engine.receive, kind=kinds),
        worker(bus, costs, engine.receive, kind=TaskSucceeded | LateAttemptPriced),
    ):
        await _past(bus, TOLD, TIMES * len(orders))
        await _past(bus, costs, TIMES * len(results))

    entries = await ledger.of_tenant(ANY_TENANT, limit=100)
    ids = [each.transfer.id for each in entries]
    said = [each.message_id for each in await stored(bus, EVT, "evt.economic_engine.>")]
    assert sorted(ids) == sorted(set(ids))
    assert len(entries) in (4, 6)  # two payments, two costs; a hold and its release, or neither
    assert (await ledger.wallet(TENANT)).available_microtokens == 40_000_000
    assert (await ledger.verify()).problems == ()
    assert sorted(said) == sorted(set(said))
    assert await letters(bus) == []


async def _shorten_window(bus: Bus, name: str) -> None:
    """Let a stream forget the ids it has seen as soon as a server may."""
    config = provision.stream_config(stream_named(name))
    await bus.api(f"STREAM.UPDATE.{name}", config | {"duplicate_window": 100_000_000})


async def _say_until_stored(bus: Bus, said: Sequence[Message]) -> None:
    """Say each until the stream takes it, which is when it has forgotten the last time."""
    with anyio.fail_after(SOON_S):
        for each in said:
            order = outgoing(each)
            while (await bus.publish(order.subject, bytes(order.data), order.headers)).duplicate:
                await checkpoint()


async def _past(bus: Bus, of: Consumer, count: int) -> None:
    """Return when a consumer has answered so many messages."""
    with anyio.fail_after(SOON_S):
        while (await info(bus, of))["ack_floor"]["consumer_seq"] < count:
            await checkpoint()
    await settled(bus, of)


# -- one after the other --------------------------------------------------------------------------


def _rejected(number: int, job: str) -> AdminRejected:
    return structs.replace(admin_rejected(f"evt_{number}"), correlation_id=JobId(job))


@pytest.mark.parametrize("keyed", [True, False])
async def test_a_module_that_takes_turns_hears_one_job_in_order(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, *, keyed: bool
) -> None:
    """And the others at the same time. Not declared, it hears everything at once."""
    monkeypatch.setattr(ordering, "KEYED", frozenset({Module.APPROVAL} if keyed else ()))
    heard = consumer(Module.APPROVAL, filters=("evt.approval.>",))
    await apply(bus, heard, buckets=())
    begun: Seen[str] = Seen()
    ended: list[str] = []
    go_on = anyio.Event()

    async def receive(message: AdminRejected) -> Sequence[Any]:
        begun.add(message.event_id)
        if message.event_id == "evt_0":
            await go_on.wait()
        ended.append(message.event_id)
        return []

    stopping = anyio.Event()
    with anyio.fail_after(SOON_S):
        async with anyio.create_task_group() as running:
            running.start_soon(_host, bus, receive, declared(heard), stopping)
            await bus.say([_rejected(n, "job_slow") for n in range(3)])
            await bus.say([_rejected(n, "job_quick") for n in range(3, 6)])
            await begun.when(lambda items: {"evt_3", "evt_4", "evt_5"} <= set(items))
            before = list(ended)
            go_on.set()
            await settled(bus, heard)
            stopping.set()

    one_job = [each for each in ended if each in ("evt_0", "evt_1", "evt_2")]
    assert ("evt_1" in before) == (not keyed)
    assert (one_job == ["evt_0", "evt_1", "evt_2"]) == keyed


async def _host(bus: Bus, receive: Any, topology: Any, stopping: anyio.Event) -> None:
    await run_hosted(
        bus=bus,
        hosted=[Hosted(module=Module.APPROVAL, receive=receive)],
        declared=topology,
        dice=random.Random(1),
        stopping=stopping,
    )
