"""How many renders of a provider may be under way, and that the broker is held to it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import anyio
import msgspec
import pytest

from actors.execution import limits
from actors.execution.keeper import LimitKeeper
from actors.execution.limits import Limit
from actors.runtime.contract import FrozenClock, Put
from actors.runtime.errors import BusUnavailableError
from schemas.base import ProviderId
from schemas.commands import SetConcurrency
from schemas.hosts import CONCURRENCY_LIMIT, ConcurrencyLimit
from schemas.lanes import BATCH, INTERACTIVE
from subjects.topology import Consumer
from tests.builders import NOON, header

A = ProviderId("fx-a")
MINUTE = timedelta(minutes=1)


def order(limit: int, **changes: object) -> ConcurrencyLimit:
    """Return a limit for one provider."""
    known = {"provider_id": A, "limit": limit, "reason": "it throttles"}
    return ConcurrencyLimit(**(known | changes))  # type: ignore[arg-type]


def set_concurrency(limit: int, *, after: timedelta = timedelta()) -> SetConcurrency:
    """Return the Economic Engine's command."""
    said = SetConcurrency(**header(f"evt_limit_{limit}"), payload=order(limit))  # type: ignore[arg-type]
    return msgspec.structs.replace(said, timestamp=NOON + after)


class Broker:
    """``ConsumerLimits`` in memory; it may be away."""

    def __init__(self, *names: str) -> None:
        self.limits = dict.fromkeys(names, CONCURRENCY_LIMIT)
        self.away = False
        self.changed = 0
        self.looked = anyio.Event()
        self.set_once = anyio.Event()

    async def get(self, consumer: Consumer) -> int | None:
        """Return a consumer's limit."""
        if self.away:
            raise BusUnavailableError("the limits", after_s=1)
        self.looked.set()
        return self.limits.get(consumer.name)

    async def set(self, consumer: Consumer, limit: int) -> None:
        """Change a consumer's limit."""
        self.limits[consumer.name] = limit
        self.changed += 1
        self.set_once.set()


class Control:
    """``Entries`` in memory."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._event = anyio.Event()

    def get(self, key: str) -> bytes | None:
        """Return a value."""
        return self._values.get(key)

    async def changed(self) -> None:
        """Return after the next change."""
        await self._event.wait()

    def put(self, key: str, value: bytes) -> None:
        """Store a value and tell."""
        self._values[key] = value
        event, self._event = self._event, anyio.Event()
        event.set()

    def limit(self, found: ConcurrencyLimit) -> None:
        """Store a limit."""
        self.put(f"concurrency.{found.provider_id}", msgspec.json.encode(found))


class World:
    """A keeper, its broker and its bucket."""

    def __init__(self, providers: Collection[str] = (A,)) -> None:
        self.broker = Broker("exec-interactive-fx-a", "exec-batch-fx-a")
        self.control = Control()
        self.clock = FrozenClock(NOON)
        self.keeper = LimitKeeper(
            consumers=self.broker,
            entries=self.control,
            providers=lambda: providers,
            clock=self.clock,
        )


def test_an_order_becomes_an_entry_and_is_remembered() -> None:
    """A process that starts later has to find it."""
    heard = set_concurrency(4)
    step = limits.ordered(None, heard)

    assert step is not None
    [entry] = step.said
    assert isinstance(entry, Put)
    assert (entry.bucket, entry.key) == ("CONTROL", "concurrency.fx-a")
    stored = msgspec.json.decode(entry.value, type=ConcurrencyLimit)
    assert (stored.limit, stored.ordered_at) == (4, NOON)
    assert step.state == Limit(order=stored)


def test_an_order_that_was_overtaken_changes_nothing() -> None:
    """Commands may be delivered again, and late; the last order holds."""
    later = limits.ordered(None, set_concurrency(8, after=MINUTE))
    assert later is not None

    assert limits.ordered(later.state, set_concurrency(2)) is None


@pytest.mark.parametrize("limit", [0, -1, 65])
def test_a_limit_is_between_one_and_the_most(limit: int) -> None:
    """None at all would let every render time out; that is what disabling is for."""
    body = msgspec.json.encode(set_concurrency(limit))

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=SetConcurrency)


@pytest.mark.parametrize("limit", range(1, CONCURRENCY_LIMIT + 1))
def test_the_lanes_share_a_limit_and_none_gets_nothing(limit: int) -> None:
    """A lane that may have no render would starve."""
    found = limits.shares(order(limit), at=NOON)

    assert list(found) == [INTERACTIVE, BATCH]
    assert min(found.values()) >= 1
    assert found[INTERACTIVE] >= found[BATCH]
    if 1 < limit < CONCURRENCY_LIMIT:
        assert sum(found.values()) == limit


def test_a_limit_ends_by_itself() -> None:
    """Whoever throttles for ten minutes need not come back."""
    ends = order(2, until=NOON + MINUTE)

    assert limits.shares(ends, at=NOON) == {INTERACTIVE: 1, BATCH: 1}
    assert limits.shares(ends, at=NOON + MINUTE) == limits.UNLIMITED
    assert limits.shares(None, at=NOON) == limits.UNLIMITED


async def test_the_broker_is_held_to_a_limit_and_let_go_when_it_ends() -> None:
    """In every lane, and only where something differs."""
    world = World()
    world.control.limit(order(8, until=NOON + MINUTE))

    assert await world.keeper.look() == 2
    assert world.broker.limits == {"exec-interactive-fx-a": 6, "exec-batch-fx-a": 2}
    assert await world.keeper.look() == 0
    world.clock.at += MINUTE
    assert await world.keeper.look() == 2
    assert set(world.broker.limits.values()) == {CONCURRENCY_LIMIT}


async def test_a_consumer_that_was_made_again_is_limited_again() -> None:
    """It is made with what is declared, whatever was ordered since."""
    world = World()
    world.control.limit(order(8))
    await world.keeper.look()
    world.broker.limits["exec-interactive-fx-a"] = CONCURRENCY_LIMIT

    assert await world.keeper.look() == 1
    assert world.broker.limits["exec-interactive-fx-a"] == 6


async def test_what_does_not_exist_or_cannot_be_read_harms_nobody() -> None:
    """A provider without consumers, and an entry that somebody wrote by hand."""
    world = World(providers=("fx-a", "fx-new"))
    world.control.put("concurrency.fx-a", b"{not json")

    assert await world.keeper.look() == 0
    assert set(world.broker.limits) == {"exec-interactive-fx-a", "exec-batch-fx-a"}


async def test_a_change_is_applied_at_once() -> None:
    """Not with the next look, half a minute later."""
    world = World()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.keeper.run)
        await world.broker.looked.wait()
        world.control.limit(order(8))
        with anyio.fail_after(5):
            await world.broker.set_once.wait()
        tasks.cancel_scope.cancel()

    assert world.broker.limits["exec-interactive-fx-a"] == 6


async def test_a_broker_that_is_away_is_waited_for() -> None:
    """It is what restarts, not we."""
    world = World()
    world.broker.away = True
    world.control.limit(order(8))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.keeper.run)
        await anyio.lowlevel.checkpoint()
        world.broker.away = False
        with anyio.fail_after(5):
            await world.broker.set_once.wait()
        tasks.cancel_scope.cancel()

    assert world.broker.limits["exec-interactive-fx-a"] == 6
