"""Everything on a subject, in order, without a gap; and local copies that stay fresh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
from nats.aio.msg import Msg

from actors.runtime import feed as feed_module
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Put
from actors.runtime.errors import ApiError
from actors.runtime.feed import Feed
from actors.runtime.watch import Watched
from actors.runtime.wire import MSG_ID, Delivery
from effectmesh.embedded.nats import EmbeddedNats
from schemas.routing import UserPreferences
from subjects.topology import CONTROL, EVT, ROUTING
from tests.integration.runtime.world import SOON_S, Seen, apply, fact, restart

KEY = "manifest"


@asynccontextmanager
async def reading(feed: Feed) -> AsyncIterator[Seen[str]]:
    """Follow a feed for the length of the block."""
    seen: Seen[str] = Seen()

    async def take(message: Msg, _: Delivery) -> None:
        seen.add((message.headers or {})[MSG_ID])

    async with background(lambda: feed.run(take)):
        yield seen


@asynccontextmanager
async def background(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run something for the length of the block."""
    with anyio.fail_after(4 * SOON_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            yield
            tasks.cancel_scope.cancel()


def facts(bus: Bus, **changes: object) -> Feed:
    """Return a feed of every fact."""
    return Feed(bus=bus, stream=EVT, subject="evt.>", **changes)  # type: ignore[arg-type]


def ids(*numbers: int) -> list[str]:
    """Return the ids of facts."""
    return [f"evt_{n}" for n in numbers]


async def test_what_was_stored_comes_first_and_then_what_is_said(bus: Bus) -> None:
    """In one order, with nothing between the two lost or doubled."""
    await apply(bus)
    await bus.say([fact(n) for n in range(50)])
    feed = facts(bus)
    async with reading(feed) as seen, anyio.create_task_group() as saying:

        async def say() -> None:
            for n in range(50, 150):
                await bus.say([fact(n)])

        saying.start_soon(say)
        await seen.until(150)

    assert seen.items == ids(*range(150))


async def test_reading_ends_with_what_is_stored_now(bus: Bus) -> None:
    """An empty stream is read at once, too."""
    await apply(bus)
    seen: list[int] = []

    async def take(_: Msg, delivery: Delivery) -> None:
        seen.append(delivery.sequence)

    with anyio.fail_after(SOON_S):
        await facts(bus).read(take)
        assert seen == []
        await bus.say([fact(n) for n in range(5)])
        await facts(bus).read(take)

    assert seen == [1, 2, 3, 4, 5]


async def test_a_reader_may_begin_behind_what_it_knows(bus: Bus) -> None:
    """A browser that comes back names the last line it saw."""
    await apply(bus)
    await bus.say([fact(n) for n in range(1, 7)])
    async with reading(facts(bus, after=4)) as seen:
        await seen.until(2)

    assert seen.items == ids(5, 6)


async def test_the_newest_of_each_subject_is_enough_for_some(bus: Bus) -> None:
    """A local copy needs no history."""
    await apply(bus)
    await bus.say([fact(1, job="job_1"), fact(2, job="job_2"), fact(3, job="job_1")])
    async with reading(facts(bus, start="newest")) as seen:
        await seen.until(2)
        await bus.say([fact(4, job="job_2")])
        await seen.until(3)

    assert seen.items == ids(2, 3, 4)


async def test_a_last_message_that_was_lost_on_the_way_is_noticed(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes behind it that would show the gap; a local copy would stay wrong for hours."""
    monkeypatch.setattr(feed_module, "HEARTBEAT_S", 0.2)
    await apply(bus)
    await bus.say([fact(1), fact(2)])
    leaking = facts(bus)
    monkeypatch.setattr(leaking, "_on_message", _Leak(leaking._on_message, nth=2).take)

    async with reading(leaking) as seen:
        await seen.until(2)

    assert seen.items == ids(1, 2)


class _Leak:
    """Loses one message on its way."""

    def __init__(self, take: Callable[[Msg], Awaitable[None]], *, nth: int) -> None:
        self._take = take
        self._left = nth

    async def take(self, message: Msg) -> None:
        """Hand every message on but one."""
        self._left -= bool(message.data)
        if self._left or not message.data:
            await self._take(message)


async def test_a_feed_goes_on_after_the_broker_was_killed(mortal: EmbeddedNats) -> None:
    """Behind the last message it handled: no gap, no repetition."""
    async with connected(mortal.url, name="test") as bus:
        await apply(bus)
        await bus.say([fact(n) for n in range(5)])
        async with reading(facts(bus)) as seen:
            await seen.until(5)
            await restart(mortal)
            await bus.say([fact(n) for n in range(5, 10)])
            await seen.until(10)

    assert seen.items == ids(*range(10))


async def test_a_stream_that_was_made_again_is_followed_from_its_new_beginning(
    mortal: EmbeddedNats,
) -> None:
    """It counts from one again; waiting for the old number would be a watch that shows nothing."""
    async with connected(mortal.url, name="test") as bus:
        await apply(bus)
        await bus.say([fact(n) for n in range(5)])
        async with reading(facts(bus)) as seen:
            await seen.until(5)
            await bus.api(f"STREAM.DELETE.{EVT}")
            await apply(bus)
            await restart(mortal)
            await bus.say([fact(n) for n in range(5, 7)])
            await seen.until(7)

    assert seen.items == ids(*range(7))


async def test_a_handler_that_fails_ends_the_feed_and_misses_nothing(bus: Bus) -> None:
    """Swallowed, the message would be lost and nobody would know."""
    await apply(bus)
    await bus.say([fact(n) for n in range(4)])
    feed = facts(bus)
    seen: Seen[str] = Seen()
    broken = ["evt_1"]

    async def take(message: Msg, _: Delivery) -> None:
        event_id = (message.headers or {})[MSG_ID]
        if event_id in broken:
            raise RuntimeError("a bug")
        seen.add(event_id)

    with anyio.fail_after(SOON_S), pytest.raises(RuntimeError, match="a bug"):
        await feed.run(take)
    assert seen.items == ids(0)

    broken.clear()
    async with background(lambda: feed.run(take)):
        await seen.until(4)
    assert seen.items == ids(0, 1, 2, 3)


async def test_a_stream_that_does_not_exist_is_an_error(bus: Bus) -> None:
    """Waiting for it would look like an empty one."""
    with anyio.fail_after(SOON_S), pytest.raises(ApiError, match="stream not found"):
        await facts(bus).run(_ignore)


# -- local copies ---------------------------------------------------------------------------------


def copy_of(bus: Bus) -> Watched[UserPreferences]:
    """Return a local copy of the routing bucket."""
    return Watched(bus=bus, bucket=ROUTING, decode=msgspec.json.Decoder(UserPreferences).decode)


def value(priority: str, key: str = KEY) -> Put:
    """Return something to put into the bucket."""
    body = msgspec.json.encode(UserPreferences(priority=priority))
    return Put(bucket=ROUTING, key=key, value=body)


async def until(copy: Watched[UserPreferences], priority: str | None, key: str = KEY) -> None:
    """Return once the copy shows a value."""
    with anyio.fail_after(SOON_S):
        while (found := copy.get(key)) is None or found.priority != priority:
            if found is None and priority is None:
                return
            await copy.changed()


async def test_a_copy_is_ready_with_what_is_there_and_follows_what_comes(bus: Bus) -> None:
    """Routing decisions read it without a network."""
    await apply(bus, buckets=[ROUTING])
    await bus.say([value("old"), value("quality"), value("speed", "override.fx-a")])
    copy = copy_of(bus)
    async with background(copy.run):
        await copy.ready()
        assert {key: each.priority for key, each in copy.values.items()} == {
            KEY: "quality",
            "override.fx-a": "speed",
        }
        await bus.say([value("cost")])
        await until(copy, "cost")


async def test_a_copy_of_an_empty_bucket_is_ready(bus: Bus) -> None:
    """On a new installation nothing was published yet."""
    await apply(bus, buckets=[ROUTING])
    copy = copy_of(bus)
    async with background(copy.run):
        with anyio.fail_after(SOON_S):
            await copy.ready()
    assert copy.values == {}


async def test_a_value_that_cannot_be_read_leaves_the_last_good_one(bus: Bus) -> None:
    """A slip of an operator must not stop every routing decision."""
    await apply(bus, buckets=[ROUTING])
    await bus.say([value("quality")])
    copy = copy_of(bus)
    async with background(copy.run):
        await copy.ready()
        await bus.say([Put(bucket=ROUTING, key=KEY, value=b'{"priority": 7')])
        await bus.say([value("anything", "other")])
        await until(copy, "anything", "other")

        assert copy.get(KEY) == UserPreferences(priority="quality")
        assert copy.refused == 1


async def test_a_deleted_key_is_gone(bus: Bus) -> None:
    """An override that was lifted must not go on steering."""
    await apply(bus, buckets=[ROUTING])
    await bus.say([value("quality")])
    copy = copy_of(bus)
    async with background(copy.run):
        await copy.ready()
        await bus.publish(f"$KV.ROUTING.{KEY}", b"", {"KV-Operation": "DEL"})
        await until(copy, None)

    assert KEY not in copy.values


async def test_a_copy_is_fresh_again_after_the_broker_was_killed(mortal: EmbeddedNats) -> None:
    """The client library's own watcher stays behind for a quarter of a minute."""
    async with connected(mortal.url, name="test") as bus:
        await apply(bus, buckets=[ROUTING, CONTROL])
        await bus.say([value("quality")])
        copy = copy_of(bus)
        async with background(copy.run):
            await copy.ready()
            await restart(mortal)
            await bus.say([value("speed")])
            with anyio.fail_after(5):
                await until(copy, "speed")


async def _ignore(_: Msg, __: Delivery) -> None:
    """Take nothing down."""
