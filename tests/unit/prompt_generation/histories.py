"""What every ``PromptHistory`` must do; run against memory and against Postgres."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta

from actors.prompt_generation import history as rules
from actors.prompt_generation.history import Asked, Ended, Outcome
from actors.prompt_generation.ports import PromptHistory
from actors.prompt_generation.ranking import Standing
from schemas.base import EventId, JobId, ProviderId, TaskId, TenantId
from schemas.jobs import JobState
from schemas.video import GeneratedPrompts, PromptVariant
from tests.builders import NOON, TENANT, VIDEO, WARM

OTHER = TenantId("tnt_2")
LATER = NOON + timedelta(days=40)


def asked(event: str = "evt_1", **changes: object) -> Asked:
    """Return what was asked."""
    known: dict[str, object] = {
        "event_id": EventId(event),
        "tenant_id": TENANT,
        "job_id": JobId("job_1"),
        "template_id": "style_transfer.dream",
        "version": 1,
        "effect_type": "style_transfer",
        "at": NOON,
        "prompts": GeneratedPrompts(
            video_id=VIDEO,
            prompt_variants=(
                PromptVariant(
                    prompt_text='Soft glow, "東京" \\ x',
                    target_effect_type="style_transfer",
                    parameters={"strength": 0.123, "seed": 7, "steps": 20, "cfg_scale": 6.05},
                    template_id="style_transfer.dream@1/balanced",
                ),
            ),
        ),
    }
    return Asked(**(known | changes))  # type: ignore[arg-type]


def outcome(task: str = "task_1", **changes: object) -> Outcome:
    """Return what is known of a render: nothing but which it is."""
    known: dict[str, object] = {
        "tenant_id": TENANT,
        "job_id": JobId("job_1"),
        "task_id": TaskId(task),
        "at": NOON,
    }
    return Outcome(**(known | changes))  # type: ignore[arg-type]


def whole(task: str, **changes: object) -> Outcome:
    """Return a render of which everything is known."""
    known: dict[str, object] = {
        "provider_id": WARM,
        "effect_type": "style_transfer",
        "template_id": "style_transfer.dream",
        "version": 1,
        "variant": "balanced",
        "composite": 0.8,
        "confidence": 0.5,
        "won": True,
        "cost_microtokens": 1_000,
    }
    return outcome(task, **(known | changes))


def ending(job: str, state: JobState, **changes: object) -> Ended:
    """Return how a job ended."""
    known: dict[str, object] = {"tenant_id": TENANT, "job_id": JobId(job), "at": NOON}
    return Ended(state=state, **(known | changes))  # type: ignore[arg-type]


async def keeps_what_was_asked_whole(history: PromptHistory) -> None:
    """Give back every word and number as it was."""
    kept = await history.record(asked())

    assert kept == asked()
    assert await history.find(TENANT, EventId("evt_1")) == asked()
    assert await history.of_job(TENANT, JobId("job_1")) == [asked()]


async def keeps_the_first_of_two(history: PromptHistory) -> None:
    """Answer the second with the first one's words."""
    await history.record(asked())

    assert await history.record(asked(template_id="generic", at=LATER)) == asked()
    assert await history.find(TENANT, EventId("evt_1")) == asked()


async def tells_no_tenant_of_another(history: PromptHistory) -> None:
    """Find nothing of another's, though event, job and task are called the same."""
    await history.record(asked())
    await history.tell([whole("task_1")])
    theirs = asked(tenant_id=OTHER, template_id="generic")

    assert await history.find(OTHER, EventId("evt_1")) is None
    assert await history.of_job(OTHER, JobId("job_1")) == []
    assert await history.outcomes(OTHER, JobId("job_1")) == []
    assert await history.record(theirs) == theirs
    assert await history.find(TENANT, EventId("evt_1")) == asked()


PARTS = (
    outcome(
        provider_id=WARM,
        effect_type="style_transfer",
        template_id="style_transfer.dream",
        version=1,
        variant="balanced",
    ),
    outcome(provider_id=WARM, composite=0.8, confidence=0.5),
    outcome(won=True, cost_microtokens=1_000),
)


async def adds_up_in_any_order_and_however_often(history: PromptHistory) -> None:
    """Know the same in the end, whichever message came first and however often."""
    for number, order in enumerate(itertools.permutations(PARTS)):
        job = JobId(f"job_{number}")
        told = [_of(part, job) for part in order]
        for part in (*told, *told, *reversed(told)):
            await history.tell([part])

        assert await history.outcomes(TENANT, job) == [_of(whole("task_1"), job)]


def _of(part: Outcome, job: JobId) -> Outcome:
    known = {name: getattr(part, name) for name in part.__struct_fields__}
    return Outcome(**(known | {"job_id": job, "task_id": TaskId(f"{job}_task")}))


async def leaves_what_was_known_before(history: PromptHistory) -> None:
    """Take the first score and the first winner; nobody scores twice."""
    await history.tell([whole("task_1")])
    await history.tell(
        [whole("task_1", composite=0.1, won=False, cost_microtokens=9, template_id="generic")]
    )

    assert await history.outcomes(TENANT, JobId("job_1")) == [whole("task_1")]


async def does_not_move_a_render_to_another_job(history: PromptHistory) -> None:
    """Ignore a message that says a task is another job's."""
    await history.tell([outcome("task_1")])
    await history.tell([whole("task_1", job_id=JobId("job_2"))])

    assert await history.outcomes(TENANT, JobId("job_1")) == [outcome("task_1")]
    assert await history.outcomes(TENANT, JobId("job_2")) == []


async def counts_a_winner_with_its_confidence(history: PromptHistory) -> None:
    """Count what won, as much as it is sure; a loser and the unknown count for nothing."""
    await history.tell(
        [
            whole("task_1"),
            whole("task_2", won=False, composite=0.1),
            whole("task_3", job_id=JobId("job_2"), composite=0.4, confidence=1.0),
            whole("task_4", job_id=JobId("job_3"), confidence=0.0),
            whole("task_5", job_id=JobId("job_4"), composite=None, confidence=None),
            whole("task_6", job_id=JobId("job_5"), won=None),
            whole("task_7", job_id=JobId("job_6"), template_id=rules.NO_TEMPLATE, version=0),
        ]
    )

    assert await history.standings(NOON) == [
        Standing(
            effect_type="style_transfer",
            template_id="style_transfer.dream",
            version=1,
            jobs=5,
            weight_micro=1_500_000,
            worth_micro=800_000,
            cost_microtokens=6_000,
        )
    ]


async def counts_endings(history: PromptHistory) -> None:
    """Count what was published; what an admin refused has won nothing, but is counted."""
    await history.tell(
        [
            whole("task_1", confidence=1.0),
            whole("task_2", job_id=JobId("job_2"), confidence=1.0),
            whole("task_3", job_id=JobId("job_3"), confidence=1.0),
        ]
    )
    await history.end(ending("job_1", JobState.COMPLETE))
    await history.end(ending("job_1", JobState.REJECTED))
    await history.end(ending("job_2", JobState.REJECTED))
    await history.end(ending("job_3", JobState.COMPLETE, tenant_id=OTHER))

    [found] = await history.standings(NOON)

    assert (found.jobs, found.published, found.rejected) == (3, 1, 1)
    assert (found.weight_micro, found.worth_micro) == (3_000_000, 1_600_000)


async def keeps_versions_apart(history: PromptHistory) -> None:
    """Rank words, not names."""
    await history.tell(
        [
            whole("task_1"),
            whole("task_2", job_id=JobId("job_2"), version=2),
            whole("task_3", job_id=JobId("job_3"), effect_type="upscale"),
        ]
    )

    found = await history.standings(NOON)

    assert [(each.effect_type, each.key) for each in found] == [
        ("style_transfer", "style_transfer.dream@1"),
        ("style_transfer", "style_transfer.dream@2"),
        ("upscale", "style_transfer.dream@1"),
    ]


async def looks_no_further_back_than_asked(history: PromptHistory) -> None:
    """Let what was won long ago rank no more."""
    await history.tell([whole("task_1"), whole("task_2", job_id=JobId("job_2"), at=LATER)])

    [found] = await history.standings(LATER)

    assert found.jobs == 1


async def forgets_what_is_old_a_part_at_a_time(history: PromptHistory) -> None:
    """Forget words before outcomes, and never more at once than is said."""
    for number in range(3):
        await history.record(asked(f"evt_{number}", job_id=JobId(f"job_{number}")))
    await history.record(asked("evt_new", at=LATER))
    await history.tell([whole("task_1")])
    await history.end(ending("job_1", JobState.COMPLETE))

    first = await history.prune(asked=LATER, outcomes=NOON, limit=2)
    second = await history.prune(asked=LATER, outcomes=NOON, limit=2)
    third = await history.prune(asked=LATER, outcomes=LATER, limit=2)

    assert [(each.asked, each.outcomes, each.endings) for each in (first, second, third)] == [
        (2, 0, 0),
        (1, 0, 0),
        (0, 1, 1),
    ]
    assert await history.of_job(TENANT, JobId("job_1")) == [asked("evt_new", at=LATER)]
    assert await history.standings(NOON) == []


async def takes_no_news(history: PromptHistory) -> None:
    """Accept a batch of nothing."""
    await history.tell([])

    assert await history.standings(NOON) == []


CHECKS = (
    keeps_what_was_asked_whole,
    keeps_the_first_of_two,
    tells_no_tenant_of_another,
    adds_up_in_any_order_and_however_often,
    leaves_what_was_known_before,
    does_not_move_a_render_to_another_job,
    counts_a_winner_with_its_confidence,
    counts_endings,
    keeps_versions_apart,
    looks_no_further_back_than_asked,
    forgets_what_is_old_a_part_at_a_time,
    takes_no_news,
)


def providers(outcomes: Sequence[Outcome]) -> list[ProviderId]:
    """Return who rendered."""
    return [each.provider_id for each in outcomes]
