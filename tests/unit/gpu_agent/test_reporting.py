"""A report is said until it is stored; how the queues stand is asked for and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from actors.runtime.errors import ApiError, BusError
from actors.runtime.wire import Sayable
from gpu_agent.affinity import Affinity, Bounds
from gpu_agent.loaded import is_warm, load_ms, loaders, was_cold
from gpu_agent.presence import Presence
from gpu_agent.reporting import Reporting
from gpu_agent.standing import Served, Standing
from schemas.commands import RunAttempt
from schemas.lanes import BATCH, INTERACTIVE
from schemas.routing import ProviderRecord
from schemas.tasks import NodeTiming
from subjects.topology import gpu_consumer
from tests.builders import NOON, attempt_finished
from tests.unit.gpu_agent.test_agent import RECORDS, run_attempt

FX = next(each for each in RECORDS.values() if each.provider_id == "fx-warm-grade-v1")
SVD = next(each for each in RECORDS.values() if each.required_models)


class Away:
    """A broker that is away for so many calls."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.stored: list[Sayable] = []

    async def say(self, said: Sequence[Sayable]) -> None:
        """Store it, when it is not away."""
        if self.times:
            self.times -= 1
            raise BusError("away")
        self.stored += said


async def finished(heard: RunAttempt) -> Sequence[Sayable]:
    """Answer with a report."""
    return [attempt_finished()]


async def test_a_report_is_said_again_until_it_is_stored() -> None:
    """The attempt may be another's by then, and no redelivery comes."""
    broker = Away(3)
    reporting = Reporting(receive=finished, say=broker.say, again_s=0.0)

    assert await reporting.receive(run_attempt()) == ()
    assert broker.stored == [attempt_finished()]


async def test_a_report_nobody_can_be_told_is_given_back() -> None:
    """The runtime puts the message off, as it does with everybody's."""
    reporting = Reporting(receive=finished, say=Away(10**9).say, keep_s=0.0, again_s=0.0)

    assert await reporting.receive(run_attempt()) == [attempt_finished()]


class Server:
    """A broker that tells how the queues stand, and nothing else."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.gone: dict[str, int] = {}
        self.calls: list[str] = []
        self.missing: set[str] = set()

    async def api(self, call: str, body: object = None) -> dict[str, Any]:
        """Answer one of the two calls."""
        self.calls.append(call)
        if call.startswith("STREAM.INFO"):
            held = {f"cmd.exec.{name}": count for name, count in self.waiting.items() if count}
            return {"state": {"subjects": held}}
        lane, _, provider = call.rsplit(".", 1)[-1].removeprefix("exec-").partition("-")
        name = f"{lane}.{provider}"
        if name in self.missing:
            raise ApiError(call, 10014, "consumer not found")
        gone = self.gone.get(name, 0)
        return {
            "num_pending": self.waiting.get(name, 0),
            "num_ack_pending": 0,
            "delivered": {"consumer_seq": gone, "stream_seq": gone},
        }


class Plan:
    """A plan over a scripted broker."""

    def __init__(self) -> None:
        self.server = Server()
        self.loaded: frozenset[str] = frozenset()
        self.peers: list[Presence] = []
        self.standing = Standing(
            bus=self.server,  # type: ignore[arg-type]  # the two calls that are made
            served=lambda: [
                Served(consumer=gpu_consumer(lane, record.provider_id), lane=lane, record=record)
                for record in (FX, SVD)
                for lane in (INTERACTIVE, BATCH)
            ],
            loaded=lambda: self.loaded,
            peers=self,
            affinity=Affinity(Bounds(standby_s=0.0)),
        )

    def others(self) -> list[Presence]:
        """Return the other agents."""
        return self.peers

    def joined_at(self, record: ProviderRecord) -> float:
        """Return when another host was last seen to change to this provider's models."""
        self.standing._watch()
        [seen] = [
            self.standing._queue(each)
            for each in self.standing._served()
            if each.record is record and each.lane == INTERACTIVE
        ]
        return seen.joined_at

    async def names(self) -> list[str]:
        """Return what would be pulled that holds something."""
        pulls = await self.standing.offers(free_since=anyio.current_time())
        self.standing._looked_at = float("-inf")
        held = {f"exec-{name.replace('.', '-', 1)}" for name, n in self.server.waiting.items() if n}
        return [each.consumer.name for each in pulls if each.consumer.name in held]


async def test_only_queues_that_hold_something_are_asked_for_their_numbers() -> None:
    """An idle fleet of many agents and providers must cost next to nothing."""
    plan = Plan()
    await plan.names()

    assert plan.server.calls == ["STREAM.INFO.CMD"]


async def test_warm_interactive_work_comes_first() -> None:
    """Lanes and models both count."""
    plan = Plan()
    plan.loaded = frozenset(SVD.required_models)
    plan.server.waiting = {
        f"{lane}.{record.provider_id}": 1 for lane in (BATCH, INTERACTIVE) for record in (FX, SVD)
    }

    assert await plan.names() == [
        f"exec-interactive-{SVD.provider_id}",
        f"exec-interactive-{FX.provider_id}",
        f"exec-batch-{SVD.provider_id}",
        f"exec-batch-{FX.provider_id}",
    ]


async def test_a_queue_that_is_not_there_yet_holds_up_nobody() -> None:
    """A provider may be new."""
    plan = Plan()
    plan.server.waiting = {f"interactive.{FX.provider_id}": 1, f"interactive.{SVD.provider_id}": 1}
    plan.server.missing = {f"interactive.{SVD.provider_id}"}

    assert await plan.names() == [f"exec-interactive-{FX.provider_id}"]


async def test_a_host_that_changes_to_a_model_is_seen_and_one_that_had_it_is_not() -> None:
    """Work that is older than that is left to it for a while."""
    plan = Plan()
    there = Presence(
        agent_id="agent_1",
        host="gpu-1",
        gpu_type="A10G",
        provider_ids=(FX.provider_id, SVD.provider_id),
        slots=1,
        at=NOON,
        loaded=SVD.required_models,
    )
    plan.peers = [there]
    at_first = plan.joined_at(SVD)
    plan.peers = [there, replace(there, agent_id="agent_2", loaded=())]
    began = anyio.current_time()
    others_change = plan.joined_at(SVD)
    plan.peers = [there, replace(there, agent_id="agent_2")]

    assert at_first == others_change == float("-inf")
    assert began <= plan.joined_at(SVD) <= anyio.current_time()
    assert plan.joined_at(SVD) == plan.joined_at(SVD)


async def test_hits_and_misses_are_counted() -> None:
    """What affinity is worth is seen from them."""
    plan = Plan()
    plan.server.waiting = {f"interactive.{FX.provider_id}": 1, f"interactive.{SVD.provider_id}": 1}
    for pull in await plan.standing.offers(free_since=anyio.current_time()):
        plan.standing.took(pull)

    assert (plan.standing.hits, plan.standing.misses) == (1, 1)


@pytest.mark.parametrize(
    ("record", "loaded", "warm"),
    [
        (FX, (), True),
        (FX, ("a.ckpt",), False),
        (SVD, (), False),
        (SVD, (*SVD.required_models, "more.ckpt"), True),
    ],
)
def test_a_host_is_warm_when_nothing_is_loaded_and_nothing_lost(
    record: Any, loaded: tuple[str, ...], warm: bool
) -> None:
    """A graph without models drives out what others need."""
    assert is_warm(record, loaded) is warm


def test_a_cold_start_is_a_loader_that_ran() -> None:
    """Found by the model file it names, not by how its class is called."""
    loading = loaders(SVD, SVD.graph)
    nodes = [
        NodeTiming(node_id=name, class_type="x", ms=700, cached=False) for name in sorted(loading)
    ]
    warm = [NodeTiming(node_id=name, class_type="x", ms=0, cached=True) for name in loading]

    assert loading
    assert (was_cold(nodes, loading), load_ms(nodes, loading)) == (True, 700 * len(loading))
    assert (was_cold(warm, loading), load_ms(warm, loading)) == (False, 0)
