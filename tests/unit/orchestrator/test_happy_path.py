"""One job through all its states."""

from __future__ import annotations

import msgspec

from actors.orchestrator.core import NEXT, diagram
from actors.runtime.contract import Later
from schemas.commands import (
    CancelTasks,
    HoldTokens,
    IngestVideo,
    ReleaseTokens,
    SettleTokens,
)
from schemas.events import (
    ApprovalRequested,
    BestResultSelected,
    JobEnded,
    JobStarted,
    TestBatchDispatched,
)
from schemas.jobs import ENDINGS, Job, JobState
from schemas.progress import JobProgressed
from tests.builders import (
    JOB,
    TENANT,
    admin_approved,
    analysis,
    content_analyzed,
    prompts_generated,
    video_ingested,
)
from tests.unit.orchestrator.script import (
    HOLD,
    PRICE,
    TO_TESTING,
    A,
    B,
    Played,
    awaiting_approval,
    cancel_job,
    effect_published,
    in_testing,
    publishing,
    start_job,
    tokens_charged,
    tokens_held,
)


def test_a_job_goes_through_every_state_in_order() -> None:
    """The thirteen steps, as whoever watches the job sees them."""
    job = publishing().hear(effect_published(), tokens_charged())

    stages = list(dict.fromkeys(line.stage for line in job.all(JobProgressed)))
    assert stages == [
        "INGESTED",
        "ANALYZING",
        "PROMPTING",
        "ROUTING",
        "TESTING",
        "EVALUATING",
        "SELECTED",
        "AWAITING_APPROVAL",
        "PUBLISHING",
        "COMPLETE",
    ]
    assert [line.stage for line in job.all(JobProgressed) if line.final] == ["COMPLETE"]
    assert job.one(JobEnded).payload.state is JobState.COMPLETE
    assert job.one(SettleTokens).payload.hold_id == HOLD
    assert job.one(SettleTokens).payload.winning_task_id == job.task(A)
    assert job.all(ReleaseTokens) == job.all(CancelTasks) == []


def test_a_complete_job_knows_what_was_charged_and_holds_nothing() -> None:
    """The job list shows the charge; what was held at the order stays to be told."""
    job = publishing().hear(effect_published(), tokens_charged()).job

    assert job is not None
    assert (job.charged_microtokens, job.held_microtokens) == (PRICE.total, 0)
    assert job.price_microtokens == PRICE.total


def test_the_money_is_asked_for_before_any_work() -> None:
    """A job nobody can pay for must cost nothing."""
    job = Played().hear(start_job(budget_tokens=12))

    assert job.one(JobStarted).payload.job_id == JOB
    hold = job.one(HoldTokens).payload
    assert (hold.hold_id, hold.budget_microtokens, hold.priority) == (HOLD, 12_000_000, "balanced")
    assert job.all(IngestVideo) == []


def test_the_clip_is_ordered_with_the_users_wish_once_the_tokens_are_held() -> None:
    """No later module has to look the wish up."""
    job = Played().hear(start_job(effect_subtype="warm", wish="like autumn"), tokens_held())

    request = job.one(IngestVideo).payload.request
    assert (request.effect_type, request.effect_subtype, request.wish) == (
        "color_correction",
        "warm",
        "like autumn",
    )
    assert job.state is JobState.INGESTED


def test_the_batch_goes_to_every_recommended_provider_with_its_own_prompt() -> None:
    """Step 5 fans out; two providers with one prompt would tell less."""
    batch = in_testing().one(TestBatchDispatched).payload

    assert [task.provider_id for task in batch.tasks] == [A, B]
    assert len({task.task_id for task in batch.tasks}) == 2
    assert [task.parameters["seed"] for task in batch.tasks] == [40, 41]
    assert [task.workflow_id for task in batch.tasks] == ["wf-fx-a", "wf-fx-b"]
    assert {task.input_video_uri for task in batch.tasks} == {
        "s3://intake/normalized/tnt_1/vid_1.mp4"
    }
    assert batch.manifest_version == 7


def test_the_batch_closes_when_its_timer_goes_off() -> None:
    """Execution and saga must agree on when it is too late."""
    job = in_testing()

    assert job.one(TestBatchDispatched).payload.closes_at == job.timer("batch")


def test_task_ids_depend_on_job_and_provider_only() -> None:
    """A repeated step must order the same renders, not new ones."""
    first, again = in_testing(A, B), in_testing(B, A)

    assert {first.task(A), first.task(B)} == {again.task(A), again.task(B)}


def test_an_answer_that_overtakes_its_question_is_kept() -> None:
    """Analysis and prompts come from modules that hear the same facts as the saga."""
    job = Played().hear(
        start_job(), tokens_held(), prompts_generated(), content_analyzed(), video_ingested()
    )

    assert job.state is JobState.TESTING
    assert len(job.one(TestBatchDispatched).payload.tasks) == 2


def test_a_publication_that_overtakes_the_approval_is_kept() -> None:
    """The gallery hears of the approval when the saga does."""
    job = awaiting_approval().hear(effect_published(), admin_approved(), tokens_charged())

    assert job.state is JobState.COMPLETE
    assert len(job.all(SettleTokens)) == 1


def test_results_and_evaluations_may_come_in_any_order() -> None:
    """A short evaluation may overtake the success it is about."""
    job = in_testing()
    job.hear(job.scored(B, 0.7), job.scored(A, 0.9), job.succeeds(B))
    assert job.state is JobState.TESTING

    job.hear(job.succeeds(A))

    assert job.one(BestResultSelected).payload.winning_provider_id == A
    assert job.one(ApprovalRequested).payload == job.one(BestResultSelected).payload


def test_an_effect_the_analysis_does_not_offer_is_tried_all_the_same() -> None:
    """The user asked for it; the reason says what the analysis thought."""
    seen = analysis(eligible_effect_types=("style_transfer",))
    job = Played().hear(start_job(), tokens_held(), video_ingested(), content_analyzed(seen=seen))

    assert job.state is JobState.PROMPTING
    assert job.job is not None
    assert (
        job.job.reason == "the analysis offers style_transfer; the user asked for color_correction"
    )


def test_saying_it_again_says_the_same_ids() -> None:
    """The streams drop what they already have by its id."""
    first, again = publishing(), publishing()

    ids = [one.message.event_id if isinstance(one, Later) else one.event_id for one in first.said]
    assert ids == [
        one.message.event_id if isinstance(one, Later) else one.event_id for one in again.said
    ]


def test_no_step_says_two_things_under_one_id() -> None:
    """The second would be dropped as a duplicate of the first."""
    job = publishing().hear(effect_published(), tokens_charged())

    ids = [one.event_id for one in job.said if not isinstance(one, Later)]
    assert len(ids) == len(set(ids))


def test_everything_said_stays_in_the_jobs_tenant() -> None:
    """A subject of another tenant would show the job to strangers."""
    job = publishing().hear(effect_published(), tokens_charged())

    envelopes = {
        (one.tenant_id, one.correlation_id) for one in job.said if not isinstance(one, Later)
    }
    assert envelopes == {(TENANT, JOB)}


def test_another_tenants_message_changes_nothing() -> None:
    """Nobody cancels or approves a stranger's job."""
    job = awaiting_approval()
    before = job.job

    job.hear(
        msgspec.structs.replace(admin_approved(), tenant_id="tnt_2"),
        msgspec.structs.replace(cancel_job(), tenant_id="tnt_2"),
    )

    assert job.job is before


def test_the_state_survives_the_record() -> None:
    """The saga's state is stored as JSON between two steps."""
    job = publishing().hear(effect_published(), tokens_charged()).job

    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job


def test_the_diagram_has_every_line_of_the_table() -> None:
    """The docs are drawn from it."""
    drawn = diagram()

    for (state, kind), following in NEXT.items():
        [line] = [line for line in drawn.splitlines() if f" {state} --> {following}:" in line]
        assert kind.__name__ in line
    assert all(f"{ending} --> [*]" in drawn for ending in ENDINGS)


def test_no_ending_leads_anywhere() -> None:
    """What has ended stays ended."""
    assert not [state for state, _ in NEXT if state in ENDINGS]


def test_every_state_can_be_reached() -> None:
    """A state nobody enters is a mistake in the table."""
    assert {*NEXT.values(), JobState.INGESTED} == set(JobState)


def test_the_second_order_changes_nothing() -> None:
    """A repeated StartJob must not hold the money twice."""
    job = Played().hear(*TO_TESTING, start_job("evt_again"))

    assert len(job.all(HoldTokens)) == 1
