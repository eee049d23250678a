"""The shell: which route a job gets, and what happens when there is none."""

from __future__ import annotations

from typing import cast

import pytest
from msgspec import structs

from actors.orchestrator.actor import Orchestrator
from actors.runtime.contract import FrozenClock, GiveUp, Saga, TryLater
from actors.runtime.wire import outgoing
from economics.exploration import slot_of
from schemas.base import JobId, Message, ProviderId, WorkflowId
from schemas.commands import ReleaseTokens
from schemas.events import TestBatchDispatched
from schemas.jobs import Job, JobState
from schemas.routing import EffectRoute, ProviderRoute, RoutingManifest
from tests.builders import JOB, NOON, TENANT, prompts_generated
from tests.unit.orchestrator.script import (
    TO_TESTING,
    A,
    B,
    C,
    cancel_job,
    deadline,
    effect_published,
    publishing,
    start_job,
    tokens_charged,
)

KEY = b"k"


class Board:
    """A manifest that can be missing."""

    def __init__(self, manifest: RoutingManifest | None) -> None:
        self.now = manifest

    def manifest(self) -> RoutingManifest | None:
        """Return the manifest."""
        return self.now


class Counter:
    """Counts the jobs of an effect type, from a number on."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.taken: list[tuple[str, JobId]] = []

    async def number(self, effect_type: str, job_id: JobId) -> int:
        """Return the job's number."""
        if (effect_type, job_id) not in self.taken:
            self.taken.append((effect_type, job_id))
        return self.start + self.taken.index((effect_type, job_id))


def route(provider: str, *, status: str = "active", weight: float = 0.5) -> ProviderRoute:
    """Return a provider's place in the manifest."""
    return ProviderRoute(
        provider_id=ProviderId(provider),
        workflow_id=WorkflowId(f"wf-{provider}"),
        lane="standard",
        weight=weight,
        expected_cost_tokens=2,
        expected_cost_microtokens=2_000_000,
        expected_quality_score={"fidelity": 0.9},
        expected_duration_ms=3000,
        success_rate=1.0,
        confidence="low",
        reason="declared",
        status=status,
    )


def manifest(*routes: ProviderRoute) -> RoutingManifest:
    """Return a manifest for colour corrections."""
    effect = EffectRoute(
        effect_type="color_correction",
        default_provider_id=routes[0].provider_id,
        providers=routes,
    )
    return RoutingManifest(
        version=3, generated_at=NOON, reason="test", effects={"color_correction": effect}
    )


class Stage:
    """The shell, and the job it leads."""

    def __init__(self, board: RoutingManifest | None, *, number: int = 0) -> None:
        self.board = Board(board)
        self.counter = Counter(number)
        self.actor = Orchestrator(
            routes=self.board, slots=self.counter, key=KEY, clock=FrozenClock()
        )
        self.job: Job | None = None
        self.said: list[object] = []

    async def hear(self, *heard: Message) -> Stage:
        """Play messages."""
        for message in heard:
            step = await self.actor.step(self.job, message)
            if step is not None:
                self.job = step.state
                self.said += step.said
        return self

    def batch(self) -> TestBatchDispatched:
        """Return the test batch."""
        [batch] = [one for one in self.said if isinstance(one, TestBatchDispatched)]
        return batch


async def test_the_batch_follows_the_manifest() -> None:
    """The recommendation is made from the local copy, with the job's own number."""
    stage = await Stage(manifest(route(A), route(B))).hear(*TO_TESTING)

    assert [task.provider_id for task in stage.batch().payload.tasks] == [A, B]
    assert stage.batch().payload.manifest_version == 3
    assert stage.counter.taken == [("color_correction", JOB)]


async def test_an_explored_slot_explores() -> None:
    """Exactly one job in twenty tries somebody else, and the job says so."""
    explored = [
        number
        for number in range(20)
        if slot_of(effect_type="color_correction", number=number, key=KEY).explores
    ]
    stage = Stage(manifest(route(A), route(B), route(C)), number=explored[0])

    await stage.hear(*TO_TESTING)

    assert stage.batch().payload.exploration_mode
    assert "exploration" in {task.role for task in stage.batch().payload.tasks}


async def test_a_shadow_provider_works_beside_the_others() -> None:
    """It does not take one of their places."""
    board = manifest(route(A), route(B), route(C), route("fx-s", status="shadow"))
    stage = await Stage(board).hear(*TO_TESTING)

    roles = {task.provider_id: task.role for task in stage.batch().payload.tasks}
    assert len(roles) == 4
    assert roles[ProviderId("fx-s")] == "shadow"
    assert {task.total_candidates for task in stage.batch().payload.tasks} == {3}


async def test_the_user_may_name_the_providers() -> None:
    """An order can narrow the choice."""
    order = start_job(providers=(ProviderId(B),))
    stage = await Stage(manifest(route(A), route(B))).hear(order, *TO_TESTING[1:])

    assert [task.provider_id for task in stage.batch().payload.tasks] == [B]


@pytest.mark.parametrize(
    "board",
    [
        None,
        structs.replace(manifest(route(A)), effects={}),
        manifest(route(A, status="shadow")),
        manifest(route(A, status="disabled")),
    ],
)
async def test_without_a_route_the_prompts_come_again_later(board: RoutingManifest | None) -> None:
    """A manifest may be published any moment; nothing is lost meanwhile."""
    stage = await Stage(board).hear(*TO_TESTING[:4])

    with pytest.raises(TryLater):
        await stage.hear(prompts_generated())

    assert stage.job is not None
    assert stage.job.state is JobState.PROMPTING
    stage.board.now = manifest(route(A))
    await stage.hear(prompts_generated())
    assert stage.job.state is JobState.TESTING


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"providers": (ProviderId("fx-z"),)}, "none of fx-z offers it"),
        ({"budget_tokens": 1}, "none within 1 tokens"),
    ],
)
async def test_an_order_nobody_may_ever_try_ends_as_soon_as_it_is_routed(
    change: dict[str, object], why: str
) -> None:
    """The user hears why at once, and no number is used up."""
    stage = await Stage(manifest(route(A), route(B))).hear(start_job(**change), *TO_TESTING[1:])

    assert stage.job is not None
    assert (stage.job.state, stage.job.code) == (JobState.EXECUTION_FAILED, "NO_PROVIDER")
    assert stage.job.reason == f"no provider for effect type 'color_correction': {why}"
    assert [type(one) for one in stage.said].count(ReleaseTokens) == 1
    assert stage.counter.taken == []


async def test_a_named_provider_that_rests_is_waited_for() -> None:
    """It may be active again in the next manifest."""
    order = start_job(providers=(ProviderId(A),))
    stage = Stage(manifest(route(A, status="suspended"), route(B)))

    with pytest.raises(TryLater, match="no provider is active"):
        await stage.hear(order, *TO_TESTING[1:])

    assert stage.counter.taken == []


async def test_at_the_deadline_a_missing_route_ends_the_job() -> None:
    """Trying later for ever would lock the user's tokens."""
    stage = await Stage(None).hear(*TO_TESTING[:4], deadline(JobState.PROMPTING))

    assert stage.job is not None
    assert stage.job.state is JobState.TIMED_OUT


async def test_a_cancel_that_overtakes_the_order_comes_again() -> None:
    """Otherwise the job would start although its user stopped it."""
    stage = Stage(None)

    with pytest.raises(TryLater):
        await stage.hear(cancel_job())

    await stage.hear(start_job(), cancel_job())
    assert stage.job is not None
    assert stage.job.state is JobState.CANCELLED


@pytest.mark.parametrize("change", [{"tenant_id": "tnt_2"}, {"job_id": "job_2"}])
async def test_an_order_that_contradicts_its_envelope_is_given_up(change: dict[str, str]) -> None:
    """It would spend another tenant's tokens."""
    with pytest.raises(GiveUp, match="tnt_1"):
        await Stage(None).hear(start_job(**change))


async def test_a_number_is_taken_only_for_a_job_that_is_routed() -> None:
    """A job that fails before must not use up an explored slot."""
    stage = await Stage(manifest(route(A))).hear(*TO_TESTING[:4])

    assert stage.counter.taken == []


def test_the_shell_is_a_saga_keyed_by_the_job() -> None:
    """What the runtime needs of it."""
    actor: Saga[Job, Message] = Stage(None).actor

    assert actor.key(start_job()) == JOB
    assert actor.state_type is Job


def test_everything_a_job_says_has_a_subject() -> None:
    """A message without one would stop the saga at that step, every time."""
    job = publishing().hear(effect_published(), tokens_charged())

    subjects = [outgoing(one).subject for one in job.said]
    assert f"cmd.economic_engine.SettleTokens.{TENANT}.{JOB}" in subjects
    assert f"timer.{JOB}.deadline" in subjects
    assert all(cast("str", JOB) in subject for subject in subjects)
