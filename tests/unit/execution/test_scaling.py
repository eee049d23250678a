"""How many hosts are asked for, how often, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from actors.execution import scaling
from actors.execution.autoscaler import Autoscaler, Fleet
from actors.execution.errors import ScalingFailedError
from actors.execution.ports import Queue
from actors.execution.scaler import NoScaler
from actors.execution.scaling import DOWN_AFTER, UP_AGAIN, Bounds, Demand, Scaling, needed
from actors.runtime.contract import FrozenClock
from actors.runtime.wire import Sayable, outgoing
from schemas.events import ScaleAdvice, ScaleRequested
from tests.builders import NOON

MINUTE = timedelta(minutes=1)
BOUNDS = Bounds(least=1, most=8)


def demand(
    waiting: int = 0, *, running: int = 0, hosts: int = 1, slots: int = 0, each_ms: int = 60_000
) -> Demand:
    """Return work of one minute each, and hosts of one slot."""
    return Demand(
        waiting=waiting,
        running=running,
        predicted_ms=waiting * each_ms,
        hosts=hosts,
        slots=slots or hosts,
    )


class Planner:
    """Looks again and again at what it is shown."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self.at = NOON
        self._known = Scaling()
        self._bounds = bounds

    def look(self, found: Demand, after: timedelta = timedelta()) -> ScaleAdvice | None:
        """Let time pass, look, and return what is asked for."""
        self.at += after
        self._known, advice = scaling.look(self._known, found, self._bounds, at=self.at)
        return advice


@pytest.mark.parametrize(
    ("found", "hosts"),
    [
        (demand(0), 1),
        (demand(2), 1),
        (demand(3), 2),
        (demand(12, running=2, hosts=2), 7),
        (demand(400), 8),
        (demand(0, running=5, hosts=6), 5),
        (demand(8, slots=4), 1),
        (demand(1, hosts=0), 1),
        (demand(120, each_ms=1000), 1),
    ],
)
def test_enough_hosts_drain_what_waits_within_two_minutes(found: Demand, hosts: int) -> None:
    """Many short renders are less work than a few long ones."""
    assert needed(found, BOUNDS) == hosts


def test_more_hosts_are_asked_for_at_once_but_at_most_twice_as_many() -> None:
    """A burst must not start a hundred machines that it is over for when they have started."""
    planner = Planner()
    advice = planner.look(demand(40, hosts=2))

    assert advice is not None
    assert (advice.desired_hosts, advice.hosts, advice.waiting) == (4, 2, 40)
    assert advice.reason == "40 renders would wait up to 1200 s"


def test_hosts_that_are_starting_are_not_asked_for_again() -> None:
    """For the minutes they take, the queue is as long as before."""
    planner = Planner()
    assert planner.look(demand(40, hosts=2)) is not None

    assert planner.look(demand(45, hosts=2), MINUTE) is None
    assert planner.look(demand(45, hosts=3), MINUTE) is None
    again = planner.look(demand(45, hosts=4), UP_AGAIN)
    assert again is not None
    assert again.desired_hosts == 8


def test_a_fleet_without_hosts_is_started_by_the_first_render() -> None:
    """Nobody pays for a host in the night, and nobody waits for ever in the morning."""
    advice = Planner(Bounds(least=0, most=8)).look(demand(1, hosts=0))

    assert advice is not None
    assert advice.desired_hosts == 1


def test_never_more_than_the_most() -> None:
    """It is a bill."""
    planner = Planner()
    advice = planner.look(demand(1000, hosts=7))

    assert advice is not None
    assert advice.desired_hosts == 8
    assert planner.look(demand(1000, hosts=8), timedelta(hours=1)) is None


def test_a_host_is_given_back_after_a_while_one_at_a_time() -> None:
    """A pause between two jobs is no reason: a host takes minutes to come again."""
    planner = Planner()
    assert planner.look(demand(0, hosts=4)) is None
    assert planner.look(demand(0, hosts=4), DOWN_AFTER - MINUTE) is None
    first = planner.look(demand(0, hosts=4), MINUTE)
    assert first is not None
    assert first.desired_hosts == 3

    assert planner.look(demand(0, hosts=3), MINUTE) is None
    second = planner.look(demand(0, hosts=3), DOWN_AFTER)
    assert second is not None
    assert second.desired_hosts == 2


def test_advice_that_nobody_takes_is_not_repeated_all_the_time() -> None:
    """An idle fleet that no program may shrink would fill the stream with the same sentence."""
    planner = Planner()
    planner.look(demand(0, hosts=2))
    said = [planner.look(demand(0, hosts=2), MINUTE) for _ in range(120)]

    assert len([each for each in said if each]) == 2


def test_one_render_that_waits_begins_the_while_anew() -> None:
    """Else the fleet would shrink in the middle of the day."""
    planner = Planner()
    planner.look(demand(0, hosts=4))
    planner.look(demand(1, hosts=4), DOWN_AFTER - MINUTE)

    assert planner.look(demand(0, hosts=4), MINUTE) is None
    assert planner.look(demand(0, hosts=4), DOWN_AFTER - MINUTE) is None


def test_busy_hosts_and_the_least_are_kept() -> None:
    """Nobody renders on a host that is given back."""
    busy, few = Planner(), Planner()
    for planner, found in ((busy, demand(0, running=4, hosts=4)), (few, demand(0, hosts=1))):
        planner.look(found)
        assert planner.look(found, 3 * DOWN_AFTER) is None


class Queues:
    """``Backlog`` as it is set."""

    def __init__(self, *queues: Queue) -> None:
        self.queues = queues

    async def read(self, provider_ids: Sequence[str]) -> Sequence[Queue]:
        """Return the queues of these providers."""
        return [each for each in self.queues if each.provider_id in provider_ids]


class Asked:
    """``Scaler`` that remembers, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[int] = []
        self._fails = fails

    async def scale(self, desired_hosts: int) -> bool:
        """Remember."""
        self.asked.append(desired_hosts)
        if self._fails:
            raise ScalingFailedError("gpu-hosts", "AccessDenied")
        return True


def autoscaler(scaler: Asked | NoScaler, said: list[Sayable], at: datetime = NOON) -> Autoscaler:
    """Return one with a queue of forty minutes, and one of a provider nobody can serve."""

    async def say(words: Sequence[Sayable]) -> None:
        said.extend(words)

    queues = Queues(
        Queue(provider_id="fx-a", waiting=40, running=2),
        Queue(provider_id="fx-h200", waiting=900, running=0),
    )
    return Autoscaler(
        backlog=queues,
        providers=lambda: {"fx-a"},
        predicted_ms=lambda _: 60_000,
        fleet=lambda: Fleet(hosts=2, slots=2),
        scaler=scaler,
        say=say,
        bounds=BOUNDS,
        clock=FrozenClock(at),
    )


async def test_a_request_is_made_and_said() -> None:
    """People see what the machine did, and why."""
    said: list[Sayable] = []
    scaler = Asked()
    await autoscaler(scaler, said).look()

    assert scaler.asked == [4]
    [event] = said
    assert isinstance(event, ScaleRequested)
    assert event.payload.applied
    assert (event.payload.waiting, event.payload.predicted_ms) == (40, 2_400_000)
    assert outgoing(event).subject == "evt.execution.ScaleRequested.platform.fleet"


async def test_without_a_scaler_it_is_advice() -> None:
    """Somebody may have hosts that no program can start."""
    said: list[Sayable] = []
    await autoscaler(NoScaler(), said).look()

    [event] = said
    assert isinstance(event, ScaleRequested)
    assert not event.payload.applied


async def test_a_scaler_that_fails_is_told_of_and_not_asked_at_every_look() -> None:
    """Fifteen seconds later it would fail again."""
    said: list[Sayable] = []
    scaler = Asked(fails=True)
    one = autoscaler(scaler, said)
    await one.look()
    await one.look()

    assert scaler.asked == [4]
    [event] = said
    assert isinstance(event, ScaleRequested)
    assert not event.payload.applied


async def test_two_processes_say_it_once() -> None:
    """The stream drops what has the same id."""
    said: list[Sayable] = []
    await autoscaler(Asked(), said).look()
    await autoscaler(Asked(), said, at=NOON + timedelta(seconds=20)).look()

    first, second = said
    assert isinstance(first, ScaleRequested)
    assert isinstance(second, ScaleRequested)
    assert first.event_id == second.event_id
