"""Thousands of jobs in any order, with repeats and losses: money moves once or comes back once."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest

from actors.orchestrator.core import decide, wants_route
from actors.orchestrator.judging import JUDGING, RENDERING
from actors.runtime.contract import Said
from schemas.base import Message
from schemas.commands import CancelTasks, ReleaseTokens, SettleTokens
from schemas.events import JobEnded, TokensHeld
from schemas.jobs import ENDINGS, Job, JobState
from schemas.progress import JobProgressed
from tests.builders import NOON, admin_approved, admin_rejected
from tests.unit.orchestrator.script import (
    TO_TESTING,
    A,
    B,
    analysis_failed,
    batch_closes,
    cancel_job,
    deadline,
    effect_published,
    in_testing,
    quota_exceeded,
    recommendation,
    tokens_charged,
    tokens_released,
    video_rejected,
)
from tests.unit.orchestrator.world import World

JOBS = 3_000
CHAPTERS = 10


def assert_money_is_right(job: Job, said: list[Message]) -> None:
    """Check what must hold for every job at rest."""
    count = Counter(type(one) for one in said)
    ended = [one for one in said if isinstance(one, JobEnded)]
    assert [one.payload.state for one in ended] == [job.state]
    assert sum(isinstance(one, JobProgressed) and one.final for one in said) == 1
    # a charge may be asked for again; the ledger makes it once
    assert bool(count[SettleTokens]) + count[ReleaseTokens] == bool(job.hold_id)
    assert bool(count[SettleTokens]) == (job.state is JobState.COMPLETE)
    assert job.held_microtokens == 0
    assert bool(job.price_microtokens) == bool(job.hold_id)
    assert bool(job.charged_microtokens) == (job.state is JobState.COMPLETE)
    assert count[CancelTasks] <= 1


@pytest.mark.parametrize("chapter", range(CHAPTERS))
def test_every_job_ends_once_and_its_money_is_right(chapter: int) -> None:
    """Whatever comes twice, late, early, only after a crash, or never."""
    for seed in range(chapter * JOBS // CHAPTERS, (chapter + 1) * JOBS // CHAPTERS):
        world = World(seed)
        world.run()
        if world.job is None:
            continue
        assert world.job.state in ENDINGS, f"seed {seed} rests in {world.job.state}"
        assert_money_is_right(world.job, list(world.said.values()))


def test_the_dice_reach_every_ending() -> None:
    """Otherwise the test above proves less than it says."""
    reached = set()
    for seed in range(400):
        world = World(seed)
        world.run()
        if world.job is not None:
            reached.add(world.job.state)

    assert reached == ENDINGS


def test_no_order_of_messages_moves_the_money_twice() -> None:
    """Not even orders that no honest world can produce."""
    probe = in_testing(A, B)
    messages: list[Message] = [
        *TO_TESTING,
        *(probe.succeeds(name) for name in (A, B)),
        *(probe.fails(name) for name in (A, B)),
        *(probe.scored(name, 0.5) for name in (A, B)),
        admin_approved(),
        admin_rejected(),
        effect_published(),
        tokens_charged(),
        tokens_released(),
        quota_exceeded(),
        video_rejected(),
        analysis_failed(),
        cancel_job(),
        batch_closes(RENDERING),
        batch_closes(JUDGING),
        *(deadline(state) for state in JobState if state not in ENDINGS),
    ]
    routing = recommendation(A, B)
    for seed in range(3_000):
        dice = random.Random(seed)
        job: Job | None = None
        said: list[Said] = []
        held = False
        for number, heard in enumerate(dice.choices(messages, k=60)):
            # begin in earnest, or nearly every order would fall flat
            message = TO_TESTING[number] if number < seed % 6 else heard
            route = routing if wants_route(job, message) else None
            step = decide(job, message, at=NOON + timedelta(seconds=number), routing=route)
            if step is not None:
                held = held or isinstance(message, TokensHeld)
                job, said = step.state, [*said, *step.said]
        count = Counter(type(one) for one in said)
        assert count[JobEnded] == (job is not None and job.state in ENDINGS)
        assert bool(count[SettleTokens]) + count[ReleaseTokens] <= held
        assert count[JobEnded] == sum(isinstance(one, JobProgressed) and one.final for one in said)
