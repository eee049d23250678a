"""Everything in order without a gap, and the local copies that are made from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest

from actors.runtime.contract import Put
from actors.runtime.errors import ApiError
from actors.runtime.feed import Feed
from actors.runtime.transport import Received, Transport
from actors.runtime.watch import Watched
from actors.runtime.wire import Delivery
from schemas.routing import UserPreferences
from subjects import build
from subjects.topology import EVT, ROUTING
from tests.contract.runtime.worlds import World, id_of
from tests.integration.runtime.world import Seen, apply, fact

KEY = "manifest"


async def test_what_was_stored_comes_first_and_then_what_is_said(world: World) -> None:
    """In one order, with nothing between the two lost or doubled."""
    await apply(world.bus)
    await world.bus.say([fact(n) for n in range(20)])
    async with _following(_facts(world.bus)) as seen, anyio.create_task_group() as saying:
        saying.start_soon(_say, world.bus, range(20, 60))
        found = await world.seen(seen, lambda items: len(items) >= 60)

    assert found == _ids(*range(60))


async def test_reading_ends_with_what_is_stored_now(world: World) -> None:
    """An empty stream is read at once, too."""
    await apply(world.bus)
    places: list[tuple[int, int]] = []

    async def take(_: Received, delivery: Delivery) -> None:
        places.append((delivery.sequence, delivery.pending))

    await world.meanwhile(lambda: _facts(world.bus).read(take))
    assert places == []
    await world.bus.say([fact(n) for n in range(3)])
    await world.meanwhile(lambda: _facts(world.bus).read(take))

    assert places == [(1, 2), (2, 1), (3, 0)]


async def test_a_reader_may_begin_behind_what_it_knows(world: World) -> None:
    """A browser that comes back names the last line it saw."""
    await apply(world.bus)
    await world.bus.say([fact(n) for n in range(1, 6)])
    async with _following(_facts(world.bus, after=3)) as seen:
        found = await world.seen(seen, lambda items: len(items) >= 2)

    assert found == _ids(4, 5)


async def test_the_newest_of_each_subject_is_enough_for_some(world: World) -> None:
    """A local copy needs no history."""
    await apply(world.bus)
    await world.bus.say([fact(1), fact(2, job="job_2"), fact(3)])
    async with _following(_facts(world.bus, start="newest")) as seen:
        await world.seen(seen, lambda items: len(items) >= 2)
        await world.bus.say([fact(4, job="job_2")])
        found = await world.seen(seen, lambda items: len(items) >= 3)

    assert found == _ids(2, 3, 4)


async def test_a_feed_hears_its_subject_only(world: World) -> None:
    """One job of many."""
    await apply(world.bus)
    feed = Feed(bus=world.bus, stream=EVT, subject=build.facts_about("job_2"))
    async with _following(feed) as seen:
        await world.bus.say([fact(1), fact(2, job="job_2"), fact(3), fact(4, job="job_2")])
        found = await world.seen(seen, lambda items: len(items) >= 2)

    assert found == _ids(2, 4)


async def test_a_feed_goes_on_after_a_restart(world: World) -> None:
    """Behind the last message it handled: no gap, no repetition."""
    await apply(world.bus)
    await world.bus.say([fact(n) for n in range(3)])
    async with _following(_facts(world.bus)) as seen:
        await world.seen(seen, lambda items: len(items) >= 3)
        await world.restart()
        await world.bus.say([fact(n) for n in range(3, 6)])
        found = await world.seen(seen, lambda items: len(items) >= 6)

    assert found == _ids(*range(6))


async def test_a_handler_that_fails_ends_the_feed_and_misses_nothing(world: World) -> None:
    """Swallowed, the message would be lost and nobody would know."""
    await apply(world.bus)
    await world.bus.say([fact(n) for n in range(3)])
    feed = _facts(world.bus)
    seen: Seen[str] = Seen()
    broken = ["evt_1"]

    async def take(message: Received, _: Delivery) -> None:
        if id_of(message) in broken:
            raise RuntimeError("a bug")
        seen.add(id_of(message))

    with pytest.raises(RuntimeError, match="a bug"):
        await world.meanwhile(lambda: feed.run(take))
    broken.clear()
    async with _background(lambda: feed.run(take)):
        found = await world.seen(seen, lambda items: len(items) >= 3)

    assert found == _ids(0, 1, 2)


async def test_a_stream_that_does_not_exist_is_an_error(world: World) -> None:
    """Waiting for it would look like an empty one."""

    async def ignore(_: Received, __: Delivery) -> None:
        """Take nothing down."""

    with pytest.raises(ApiError, match="stream not found"):
        await world.meanwhile(lambda: _facts(world.bus).run(ignore))


async def test_an_idle_follower_hears_the_heart_beat(world: World) -> None:
    """Or silence and an empty stream would be the same."""
    await apply(world.bus)
    came: Seen[Received] = Seen()

    async def take(message: Received) -> None:
        came.add(message)

    inbox = world.bus.new_inbox()
    config = {
        "deliver_subject": inbox,
        "deliver_policy": "all",
        "filter_subject": "evt.>",
        "ack_policy": "none",
        "idle_heartbeat": 100_000_000,
    }
    async with world.bus.subscribed(inbox, take):
        body = {"stream_name": EVT, "config": config}
        created = await world.bus.api(f"CONSUMER.CREATE.{EVT}", body)
        found = await world.seen(came, lambda items: len(items) >= 2)
        names = (await world.bus.api(f"CONSUMER.NAMES.{EVT}"))["consumers"]

    assert {(each.headers or {})["Status"] for each in found} == {"100"}
    assert created["num_pending"] == 0
    assert names == [created["name"]]


async def test_a_copy_is_ready_with_what_is_there_and_follows(world: World) -> None:
    """Routing decisions read it without a network. A bad value leaves the last good one."""
    await apply(world.bus, buckets=[ROUTING])
    await world.bus.say([_value("old"), _value("quality"), _value("speed", "override.fx-a")])
    copy = _copy_of(world.bus)
    async with _background(copy.run):
        await world.meanwhile(copy.ready)
        first = {key: each.priority for key, each in copy.values.items()}
        await world.bus.say([Put(bucket=ROUTING, key=KEY, value=b'{"priority": 7')])
        await world.bus.say([_value("cost", "override.fx-a")])
        await _until(world, copy, "override.fx-a", "cost")
        kept = copy.values[KEY].priority
        await world.bus.say([_value("newest")])
        await _until(world, copy, KEY, "newest")

    assert first == {KEY: "quality", "override.fx-a": "speed"}
    assert (kept, copy.refused) == ("quality", 1)


async def test_a_copy_loses_what_was_deleted(world: World) -> None:
    """An override that was lifted must not go on steering."""
    await apply(world.bus, buckets=[ROUTING])
    await world.bus.say([_value("quality")])
    copy = _copy_of(world.bus)
    async with _background(copy.run):
        await world.meanwhile(copy.ready)
        await world.bus.publish(build.entry(ROUTING, KEY), b"", {"KV-Operation": "DEL"})
        await _until(world, copy, KEY, None)


async def test_a_copy_is_fresh_after_a_restart(world: World) -> None:
    """The client library's own watcher stays behind for a quarter of a minute."""
    await apply(world.bus, buckets=[ROUTING])
    await world.bus.say([_value("quality")])
    copy = _copy_of(world.bus)
    async with _background(copy.run):
        await world.meanwhile(copy.ready)
        await world.restart()
        await world.bus.say([_value("speed")])
        await _until(world, copy, KEY, "speed")


def _facts(bus: Transport, **changes: Any) -> Feed:
    return Feed(bus=bus, stream=EVT, subject="evt.>", **changes)


def _ids(*numbers: int) -> list[str]:
    return [f"evt_{n}" for n in numbers]


async def _say(bus: Transport, numbers: range) -> None:
    for n in numbers:
        await bus.say([fact(n)])


def _copy_of(bus: Transport) -> Watched[UserPreferences]:
    decode = msgspec.json.Decoder(UserPreferences).decode
    return Watched(bus=bus, bucket=ROUTING, decode=decode)


def _value(priority: str, key: str = KEY) -> Put:
    body = msgspec.json.encode(UserPreferences(priority=priority))
    return Put(bucket=ROUTING, key=key, value=body)


async def _until(
    world: World, copy: Watched[UserPreferences], key: str, priority: str | None
) -> None:
    """Return once the copy shows a value, or none."""

    async def shown() -> bool:
        found = copy.get(key)
        return (found.priority if found else None) == priority

    await world.eventually(shown)


@asynccontextmanager
async def _following(feed: Feed) -> AsyncIterator[Seen[str]]:
    seen: Seen[str] = Seen()

    async def take(message: Received, _: Delivery) -> None:
        seen.add(id_of(message))

    async with _background(lambda: feed.run(take)):
        yield seen


@asynccontextmanager
async def _background(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run something for the length of the block."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        yield
        tasks.cancel_scope.cancel()


FOLLOWING: tuple[Callable[[World], Coroutine[Any, Any, None]], ...] = (
    test_what_was_stored_comes_first_and_then_what_is_said,
    test_reading_ends_with_what_is_stored_now,
    test_a_reader_may_begin_behind_what_it_knows,
    test_the_newest_of_each_subject_is_enough_for_some,
    test_a_feed_hears_its_subject_only,
    test_a_feed_goes_on_after_a_restart,
    test_a_handler_that_fails_ends_the_feed_and_misses_nothing,
    test_a_stream_that_does_not_exist_is_an_error,
    test_an_idle_follower_hears_the_heart_beat,
    test_a_copy_is_ready_with_what_is_there_and_follows,
    test_a_copy_loses_what_was_deleted,
    test_a_copy_is_fresh_after_a_restart,
)
