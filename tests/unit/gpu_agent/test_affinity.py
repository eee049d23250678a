"""Warm work first, cold work in time: the rules one by one, and what they do to a whole fleet."""

from __future__ import annotations

import random

import pytest

from actors.runtime.pulling import FRONT, Pull
from gpu_agent.affinity import COLD, LOTS, Affinity, Ages, Bounds, Queue
from subjects.topology import gpu_consumer
from tests.unit.gpu_agent.fleet import Work, best_makespan, fleet

NEVER = float("inf")
BOUNDS = Bounds()
LOAD_S = {"a": 8.0, "b": 8.0}


def queue(name: str, **how: object) -> Queue:
    """Return a queue of one provider, warm and empty."""
    told: dict[str, object] = {"consumer": gpu_consumer("interactive", name), "warm": True} | how
    return Queue(**told)  # type: ignore[arg-type]


def names(pulls: object) -> list[str]:
    """Return whose queues are pulled."""
    assert isinstance(pulls, list)
    return [each.consumer.filters[0].split(".")[-1] for each in pulls]


def taken(*queues: Queue, now: float = 100.0, free_since: float = 100.0) -> list[Pull]:
    """Return what a slot pulls that does not wait for anything to come."""
    pulls = Affinity().order(queues, now=now, free_since=free_since)
    return [each for each in pulls if not each.wait_s]


def test_the_oldest_work_is_served_first_whoever_offers_it() -> None:
    """A provider with much work must not push the others aside."""
    pulls = taken(queue("busy", waiting=50, came_at=20.0), queue("calm", waiting=1, came_at=10.0))

    assert names(pulls) == ["calm", "busy"]


def test_warm_work_goes_before_older_cold_work() -> None:
    """A load takes as long as several renders."""
    cold = queue("cold", warm=False, waiting=1, came_at=80.0)

    assert names(taken(cold, queue("warm", waiting=1, came_at=99.0))) == ["warm", "cold"]


def test_cold_work_that_waited_long_enough_goes_before_warm_work() -> None:
    """Else a busy host would never change its model."""
    cold = queue("cold", warm=False, waiting=1, came_at=99.0 - BOUNDS.join_s - 0.1)

    assert names(taken(cold, queue("warm", waiting=1, came_at=99.0))) == ["cold", "warm"]


def test_what_fell_behind_is_left_to_the_host_that_has_changed_to_it_up_to_the_bound() -> None:
    """Else all of them would change, and all change back."""
    warm = queue("warm", waiting=1, came_at=99.0)

    def first(age: float, joined_at: float) -> str:
        cold = queue(
            "cold",
            warm=False,
            waiting=1,
            came_at=99.0 - age,
            warm_elsewhere=True,
            joined_at=joined_at,
        )
        return names(taken(warm, cold, free_since=0.0))[0]

    assert first(BOUNDS.join_s + 1, joined_at=10.0) == "cold"
    assert first(BOUNDS.join_s + 1, joined_at=98.0) == "warm"
    assert first(BOUNDS.overtake_s + 1, joined_at=98.0) == "cold"


def test_an_idle_cold_host_leaves_work_to_a_warm_one_for_a_while() -> None:
    """The warm one may be free in a moment, and loads nothing."""
    cold = queue("cold", warm=False, waiting=1, came_at=100.0, warm_elsewhere=True, load_s=6.0)

    assert taken(cold, now=105.9) == []
    assert names(taken(cold, now=106.0)) == ["cold"]


def test_a_cold_host_waits_from_when_it_is_free_not_from_when_the_work_came() -> None:
    """In a long queue all work is old; a slot that is free just now would never wait."""
    cold = queue("cold", warm=False, waiting=9, came_at=90.0, warm_elsewhere=True, load_s=6.0)

    assert taken(cold, now=100.0, free_since=99.0) == []
    assert names(taken(cold, now=105.0, free_since=99.0)) == ["cold"]


@pytest.mark.parametrize(("load_s", "patience"), [(0.0, 2.0), (6.0, 6.0), (600.0, 10.0)])
def test_patience_is_about_a_load_and_has_its_bounds(load_s: float, patience: float) -> None:
    """Waiting and then loading costs at most twice what the better of the two would have."""
    cold = queue("cold", warm=False, warm_elsewhere=True, load_s=load_s)

    assert Affinity().patience_of(cold) == patience


def test_where_nobody_is_warm_nobody_waits() -> None:
    """There is nobody to leave the work to."""
    assert names(taken(queue("cold", warm=False, waiting=1, came_at=100.0))) == ["cold"]


def test_interactive_work_goes_before_batch_work_but_not_for_ever() -> None:
    """Nobody waits for a shadow render; it is to be done all the same."""
    young = queue("person", waiting=1, came_at=99.0)
    batch = queue("shadow", waiting=1, came_at=50.0, batch=True)
    old = queue("shadow", waiting=1, came_at=99.0 - BOUNDS.batch_s - 1, batch=True)

    assert names(taken(batch, young)) == ["person", "shadow"]
    assert names(taken(old, young)) == ["shadow", "person"]


def test_an_idle_slot_stands_in_front_of_warm_queues_one_after_the_other() -> None:
    """What comes there is had at once; the server serves the lowest number first."""
    policy = Affinity()
    quiet = [queue("x"), queue("y"), queue("z", warm=False, warm_elsewhere=True)]
    stands = [policy.order(quiet, now=1.0, free_since=0.0)[-1] for _ in range(4)]

    assert [each.consumer.filters[0][-1] for each in stands] == ["y", "x", "y", "x"]
    assert {(each.priority, each.wait_s) for each in stands} == {(FRONT, BOUNDS.standby_s)}


def test_a_cold_host_pulls_behind_warm_ones() -> None:
    """Where both wait, the server gives the work to the warm one."""
    [pull] = taken(queue("cold", warm=False, waiting=1, came_at=0.0))

    assert pull.priority == COLD
    assert b'"group":"hosts"' in pull.body()
    assert b'"priority":5' in pull.body()


def test_what_another_host_may_have_left_behind_is_tried_for_now_and_then() -> None:
    """Work of a host that died counts as being done until somebody asks for it."""
    policy = Affinity()
    left = queue("left", out=1)

    def tried(now: float) -> bool:
        return any(not each.wait_s for each in policy.order([left], now=now, free_since=0.0))

    assert [tried(now) for now in (10.0, 10.5, 11.0)] == [True, False, True]


def test_nothing_to_serve_is_nothing_to_pull() -> None:
    """The host may be away."""
    assert list(Affinity().order([], now=1.0, free_since=0.0)) == []


def test_the_age_of_the_oldest_is_known_from_looking_at_numbers() -> None:
    """The server tells how many wait, not since when."""
    ages = Ages()
    ages.update(at=10.0, waiting=2, delivered=0)
    ages.update(at=20.0, waiting=3, delivered=0)

    assert ages.update(at=30.0, waiting=3, delivered=0) == 10.0
    assert ages.update(at=31.0, waiting=1, delivered=2) == 20.0
    assert ages.update(at=32.0, waiting=1, delivered=3) == 32.0
    assert ages.update(at=33.0, waiting=0, delivered=4) == 33.0


def test_work_that_is_delivered_again_makes_nobody_younger() -> None:
    """It counts as delivered a second time although nothing left the queue."""
    ages = Ages()
    ages.update(at=10.0, waiting=1, delivered=5)

    assert ages.update(at=20.0, waiting=1, delivered=6, moved=False) == 10.0


def test_a_consumer_that_was_made_again_counts_from_the_start() -> None:
    """Its numbers begin at nothing."""
    ages = Ages()
    ages.update(at=10.0, waiting=4, delivered=100)

    assert ages.update(at=20.0, waiting=4, delivered=0) == 20.0


def test_ages_are_kept_of_so_many_moments_only() -> None:
    """A queue may stand for a week."""
    ages = Ages()
    for second in range(LOTS * 2):
        ages.update(at=float(second), waiting=second + 1, delivered=0)

    assert len(ages._lots) == LOTS
    assert ages.update(at=NEVER, waiting=LOTS * 2, delivered=0) == 0.0


def mixed(count: int, *, seed: int, share: float, every_s: float) -> list[Work]:
    """Return renders of two models that come at random; three seconds each, about."""
    dice, at, work = random.Random(seed), 0.0, []
    for _ in range(count):
        at += dice.expovariate(1 / every_s) if every_s else 0.0
        model = "a" if dice.random() < share else "b"
        work.append(Work(model=model, came_at=at, takes_s=2.0 + 2.0 * dice.random()))
    return work


@pytest.mark.parametrize("share", [0.5, 0.67, 0.8, 0.9])
def test_a_mix_of_two_models_is_served_warm_and_nobody_waits_past_the_bound(share: float) -> None:
    """Three hosts, seven tenths busy. The bound is what a busy host may put cold work off for."""
    house = fleet(3, LOAD_S)
    house.run(mixed(400, seed=2, share=share, every_s=1.0 / 0.7))

    assert house.warm_share >= 0.95
    assert house.longest_wait <= BOUNDS.overtake_s


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.5, 0.67, 0.8, 0.9])
@pytest.mark.parametrize("busy", [0.85, 0.95])
def test_a_busy_mix_is_served_warm_and_nobody_is_overtaken_past_the_bound(
    busy: float, share: float, seed: int
) -> None:
    """Above nine tenths the loads alone are more than there is room for, and everybody waits."""
    house = fleet(3, LOAD_S)
    house.run(mixed(300, seed=seed, share=share, every_s=1.0 / busy))

    assert house.warm_share >= 0.95
    assert house.longest_overtaken <= BOUNDS.overtake_s


def test_when_all_hosts_change_to_what_fell_behind_models_are_loaded_more_often() -> None:
    """What one bound for everybody comes to: the first test of the two above can fail."""
    shares = []
    for bounds in (Bounds(), Bounds(join_s=30.0, overtake_s=30.0)):
        house = fleet(3, LOAD_S, bounds)
        house.run(mixed(300, seed=1, share=0.5, every_s=1.0 / 0.85))
        shares.append(house.warm_share)

    assert shares[0] >= 0.95 > shares[1]


@pytest.mark.parametrize("share", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_a_skewed_mix_takes_hardly_longer_than_the_best_assignment(share: float) -> None:
    """Known in hindsight: no assignment at all could be faster than what is compared with."""
    house = fleet(3, LOAD_S)
    work = mixed(150, seed=1, share=share, every_s=0.0)
    house.run(work)

    assert house.warm_share >= 0.95
    assert house.makespan <= 1.10 * best_makespan(work, hosts=3, load_s=LOAD_S)


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_overtaken_by_much_younger_work_even_when_there_is_too_much(seed: int) -> None:
    """Two hosts, three models, and more than they can do: the rare model has its turn."""
    house = fleet(2, {"a": 8.0, "b": 8.0, "c": 8.0})
    work = mixed(200, seed=seed, share=0.6, every_s=1.0)
    work += [Work(model="c", came_at=20.0 * turn, takes_s=3.0) for turn in range(10)]
    house.run(work)

    assert len(house.done) == len(work)
    assert house.longest_overtaken <= BOUNDS.overtake_s


def test_without_the_bound_the_rare_model_starves() -> None:
    """The test above can fail."""
    house = fleet(2, {"a": 8.0, "b": 8.0, "c": 8.0}, Bounds(join_s=10_000.0, overtake_s=10_000.0))
    work = mixed(200, seed=1, share=0.6, every_s=1.0)
    work.append(Work(model="c", came_at=20.0, takes_s=3.0))
    house.run(work)

    assert house.longest_overtaken > BOUNDS.overtake_s


def test_without_patience_models_are_loaded_all_the_time() -> None:
    """What warm hits would be if every idle host took whatever there is."""
    house = fleet(3, LOAD_S, Bounds(cold_after_s=0.0, cold_limit_s=0.0, join_s=0.0, overtake_s=0.0))
    house.run(mixed(400, seed=2, share=0.5, every_s=1.0 / 0.7))

    assert house.warm_share < 0.8


def test_a_free_host_never_stands_beside_work_for_longer_than_its_patience() -> None:
    """However the models lie."""
    house = fleet(3, LOAD_S)
    house.run([Work(model="a", came_at=0.0, takes_s=100.0) for _ in range(3)])

    assert [each.host for each in house.done] != [0, 0, 0]
    assert max(each.began_at for each in house.done) <= LOAD_S["a"] + 0.1
