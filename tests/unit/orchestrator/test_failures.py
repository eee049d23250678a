"""Every way a job can fail, one test for each 'On failure' line of the flow and more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from actors.orchestrator.batch import NoProvider
from actors.orchestrator.core import decide
from actors.orchestrator.errors import RouteNeededError
from actors.orchestrator.judging import JUDGING, RENDERING
from actors.orchestrator.lifecycle import BOUNDS, CHARGE_WAIT, REMINDERS_LIMIT
from actors.runtime.contract import Later
from schemas.commands import CancelTasks, HoldTokens, ReleaseTokens, SettleTokens
from schemas.events import (
    ApprovalRequested,
    BestResultSelected,
    JobEnded,
    TestBatchDispatched,
)
from schemas.jobs import ENDINGS, JobState
from schemas.progress import JobProgressed
from tests.builders import (
    NOON,
    USER,
    admin_approved,
    admin_rejected,
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
    analysis_failed,
    awaiting_approval,
    batch_closes,
    cancel_job,
    deadline,
    effect_published,
    in_testing,
    no_prompts,
    publishing,
    quota_exceeded,
    start_job,
    tokens_charged,
    tokens_held,
    tokens_released,
    video_rejected,
)


def assert_ended(job: Played, state: JobState, *, released: bool) -> None:
    """Check what holds for every ending."""
    assert job.state is state
    assert job.one(JobEnded).payload.state is state
    assert len(job.all(ReleaseTokens)) == released
    assert [line.stage for line in job.all(JobProgressed) if line.final] == [state]
    assert job.timer("deadline") is None


def test_step_1_an_unusable_clip_ends_the_job_and_frees_the_tokens() -> None:
    """The user gets the reason, and the money."""
    job = Played().hear(start_job(), tokens_held(), video_rejected())

    assert_ended(job, JobState.ANALYSIS_FAILED, released=True)
    ending = job.one(JobEnded).payload
    assert (ending.code, ending.reason, ending.user_id) == ("too_long", "61 s is over 60 s", USER)


@pytest.mark.parametrize("before", [2, 3])
def test_step_2_a_failed_analysis_ends_the_job_and_frees_the_tokens(before: int) -> None:
    """Also when it is heard before the clip itself."""
    job = Played().hear(*TO_TESTING[:before], analysis_failed())

    assert_ended(job, JobState.ANALYSIS_FAILED, released=True)
    assert job.one(JobEnded).payload.code == "undecodable"


def test_step_3_without_prompts_a_generic_one_is_used() -> None:
    """The pipeline goes on."""
    job = Played().hear(*TO_TESTING[:4], no_prompts())

    tasks = job.one(TestBatchDispatched).payload.tasks
    assert {task.prompt for task in tasks} == {"color correction, keeping the original motion"}


def test_step_3_when_prompt_generation_is_silent_the_pipeline_goes_on() -> None:
    """A dead module must not cost the job."""
    job = Played().hear(*TO_TESTING[:4], deadline(JobState.PROMPTING))

    assert job.state is JobState.TESTING
    assert "color correction" in job.one(TestBatchDispatched).payload.tasks[0].prompt


def test_step_4_a_job_that_finds_no_route_by_its_deadline_times_out() -> None:
    """The tokens go back; nobody waits for ever."""
    job = Played().hear(*TO_TESTING[:4])
    assert job.job is not None

    step = decide(job.job, deadline(JobState.PROMPTING), at=NOON, routing=None)

    assert step is not None
    assert step.state.state is JobState.TIMED_OUT
    assert any(isinstance(one, ReleaseTokens) for one in step.said)


def test_step_4_deciding_without_the_route_that_is_needed_is_a_mistake() -> None:
    """The shell must answer TryLater instead of asking."""
    job = Played().hear(*TO_TESTING[:4])

    with pytest.raises(RouteNeededError, match="job_1"):
        decide(job.job, prompts_generated(), at=NOON, routing=None)


def test_step_6_one_failed_render_does_not_stop_the_others() -> None:
    """A winner among those that delivered."""
    job = in_testing()
    job.hear(job.fails(A), job.succeeds(B), job.scored(B, 0.6))

    selection = job.one(BestResultSelected).payload
    assert selection.winning_provider_id == B
    assert [row.outcome for row in selection.ranking] == ["won", "failed"]


def test_step_7_unknown_quality_is_usable() -> None:
    """The clip is there, only nobody could measure it."""
    job = in_testing(A)
    job.hear(
        job.succeeds(A),
        job.scored(A, 0.0, quality="unknown", confidence=0.0, reason="no input frames"),
    )

    selection = job.one(BestResultSelected).payload
    assert selection.winning_provider_id == A
    assert "quality unknown" in selection.comparison_summary


def test_step_7_a_silent_evaluation_is_waited_for_and_then_counts_as_unknown() -> None:
    """The batch timer closes what nobody evaluates."""
    job = in_testing()
    job.hear(job.succeeds(A), job.succeeds(B), job.scored(B, 0.5))
    assert job.state is JobState.EVALUATING

    job.hear(batch_closes(JUDGING))

    selection = job.one(BestResultSelected).payload
    assert selection.winning_provider_id == B
    assert "no evaluation in time" in selection.ranking[1].reason


def test_step_9_with_no_result_at_all_the_tokens_go_back() -> None:
    """Zero successes: failure with refund."""
    job = in_testing()
    job.hear(job.fails(A), job.fails(B))

    assert_ended(job, JobState.EXECUTION_FAILED, released=True)
    ending = job.one(JobEnded).payload
    assert ending.code == "no_result"
    assert "fx-a HOST_ERROR, fx-b HOST_ERROR" in ending.reason
    assert job.all(CancelTasks) == []


def test_step_9_a_batch_that_closes_without_a_result_stops_its_renders() -> None:
    """Nobody waits for them any more, so they must not burn a GPU."""
    job = in_testing()
    job.hear(job.fails(A), batch_closes(RENDERING))

    assert_ended(job, JobState.EXECUTION_FAILED, released=True)
    assert len(job.all(CancelTasks)) == 1


def test_step_9_a_batch_that_closes_with_one_result_takes_it() -> None:
    """Late renders are stopped, and named as late."""
    job = in_testing()
    job.hear(job.succeeds(A), job.scored(A, 0.8), batch_closes(RENDERING))

    selection = job.one(BestResultSelected).payload
    assert [row.outcome for row in selection.ranking] == ["won", "late"]
    assert len(job.all(CancelTasks)) == 1
    assert job.timer("batch") is None


def test_a_result_just_before_the_batch_closes_still_gets_its_evaluation() -> None:
    """Quality must not be unknown only because the render was slow."""
    job = in_testing()
    job.hear(job.succeeds(A), batch_closes(RENDERING))
    assert job.state is JobState.EVALUATING

    job.hear(job.scored(A, 0.8))

    assert job.one(BestResultSelected).payload.composite_score == 0.8


def test_an_old_batch_timer_does_not_close_the_evaluation() -> None:
    """A timer that is replaced may already be under way."""
    job = in_testing()
    job.hear(job.succeeds(A), job.succeeds(B), batch_closes(RENDERING))

    assert job.state is JobState.EVALUATING


def test_a_shadow_render_is_not_waited_for() -> None:
    """Nobody sees its result, so nobody waits for it; and it may finish."""
    job = in_testing(A, "fx-shadow", roles={"fx-shadow": "shadow"})
    job.hear(job.succeeds(A), job.scored(A, 0.8))

    assert job.state is JobState.AWAITING_APPROVAL
    assert job.all(CancelTasks) == []
    assert job.one(TestBatchDispatched).payload.tasks[0].total_candidates == 1


def test_step_11_a_rejection_gives_the_tokens_back() -> None:
    """The user pays for nothing that is not published."""
    job = awaiting_approval().hear(admin_rejected(reason="too dark"))

    assert_ended(job, JobState.REJECTED, released=True)
    assert job.one(JobEnded).payload.reason == "too dark"


def test_step_11_approval_waits_as_long_as_it_takes() -> None:
    """A reminder, never an ending."""
    job = awaiting_approval()
    for step in range(3):
        job.hear(deadline(JobState.AWAITING_APPROVAL, step=step))

    assert job.state is JobState.AWAITING_APPROVAL
    assert job.timer("deadline") == job.at + BOUNDS[JobState.AWAITING_APPROVAL]
    assert job.all(JobProgressed)[-1].detail == "has waited 3 days, 0:00:00 for an admin"


def test_reminders_have_a_bound() -> None:
    """No timer that sets itself again for ever."""
    job = awaiting_approval()
    timers = len(job.all(Later))

    job.hear(deadline(JobState.AWAITING_APPROVAL, step=REMINDERS_LIMIT - 1))

    assert len(job.all(Later)) == timers


def test_step_12_a_job_stays_in_publishing_and_is_refunded_after_a_day() -> None:
    """The gallery retries meanwhile; a user's tokens are not locked for ever."""
    job = publishing()
    assert job.timer("deadline") == job.at + timedelta(days=1)

    job.hear(deadline(JobState.PUBLISHING))

    assert_ended(job, JobState.TIMED_OUT, released=True)


def test_a_published_job_never_times_out() -> None:
    """It must be charged, and a refund beside the charge would be a gift."""
    job = publishing().hear(effect_published(), deadline(JobState.PUBLISHING))

    assert job.state is JobState.PUBLISHING
    assert job.all(ReleaseTokens) == []
    assert job.hear(tokens_charged()).state is JobState.COMPLETE


def test_a_job_without_quota_ends_and_releases_nothing() -> None:
    """There is no hold to release."""
    job = Played().hear(start_job(), quota_exceeded())

    assert_ended(job, JobState.QUOTA_EXCEEDED, released=False)
    ending = job.one(JobEnded).payload
    assert ending.code == "insufficient_balance"
    assert ending.reason == "the job needs 8.00 tokens and 1.50 are available"


@pytest.mark.parametrize(
    ("state", "before"),
    [(JobState.INGESTED, 2), (JobState.ANALYZING, 3), (JobState.PROMPTING, 4)],
)
def test_a_deadline_ends_the_job(state: JobState, before: int) -> None:
    """A module that never answers must not lock a user's tokens."""
    job = Played().hear(*TO_TESTING[:before])
    assert job.state is state
    assert job.job is not None

    step = decide(job.job, deadline(state), at=job.at)

    assert step is not None
    job.job = step.state
    job.said += step.said
    assert_ended(job, JobState.TIMED_OUT, released=True)


def test_the_deadline_of_an_earlier_state_says_nothing() -> None:
    """It may already be under way when the state changes."""
    job = Played().hear(*TO_TESTING[:4])
    before = job.job

    job.hear(deadline(JobState.INGESTED), deadline(JobState.ANALYZING))

    assert job.job is before


@pytest.mark.parametrize("before", range(2, 6))
def test_a_person_can_cancel_before_the_winner_is_there(before: int) -> None:
    """Everything stops and the tokens go back."""
    job = Played().hear(*TO_TESTING[:before], cancel_job(reason="wrong clip"))

    assert_ended(job, JobState.CANCELLED, released=True)
    assert len(job.all(CancelTasks)) == (before == 5)
    assert job.one(ReleaseTokens).payload.reason == "wrong clip"


@pytest.mark.parametrize("job", [awaiting_approval, publishing])
def test_a_person_can_cancel_until_the_publication(job: object) -> None:
    """Until then nothing is charged."""
    played = job().hear(cancel_job())  # type: ignore[operator]

    assert_ended(played, JobState.CANCELLED, released=True)


def test_what_is_published_cannot_be_cancelled() -> None:
    """The charge is under way; settle and release together would be a gift."""
    job = publishing().hear(effect_published(), cancel_job())

    assert job.state is JobState.PUBLISHING
    assert job.all(ReleaseTokens) == []


def test_a_hold_that_arrives_after_a_cancel_is_released_once() -> None:
    """Otherwise the tokens stay reserved for a job that is gone."""
    job = Played().hear(start_job(), cancel_job())
    assert_ended(job, JobState.CANCELLED, released=False)

    job.hear(tokens_held(), tokens_held("evt_held_again"))

    assert_ended(job, JobState.CANCELLED, released=True)
    assert job.one(ReleaseTokens).payload.hold_id == HOLD
    assert job.job is not None
    assert job.job.price_microtokens == PRICE.total


def test_a_release_is_recorded() -> None:
    """The job then shows that nothing is held any more."""
    job = in_testing().hear(cancel_job())
    assert job.job is not None
    assert job.job.held_microtokens == PRICE.total

    job.hear(tokens_released())

    assert job.job.held_microtokens == 0
    assert job.job.price_microtokens == PRICE.total


def test_after_an_ending_nothing_but_money_changes_the_job() -> None:
    """Late messages are normal; each must fall flat."""
    job = in_testing()
    late = [job.succeeds(A), job.scored(A, 0.9), job.fails(B)]
    job.hear(cancel_job())
    before = job.job

    job.hear(
        *late,
        *TO_TESTING,
        admin_approved(),
        admin_rejected(),
        effect_published(),
        tokens_charged(),
        quota_exceeded(),
        cancel_job("evt_again"),
        *(deadline(state) for state in JobState if state not in ENDINGS),
        batch_closes(RENDERING),
        batch_closes(JUDGING),
    )

    assert job.job is before


def test_nothing_is_worked_on_before_the_tokens_are_held() -> None:
    """A clip that comes without a hold waits for nobody to pay."""
    job = Played().hear(start_job(), video_ingested(), content_analyzed())

    assert job.state is JobState.INGESTED


def test_a_job_that_was_never_ordered_hears_nothing() -> None:
    """Facts about a job of another age must not create one."""
    assert decide(None, tokens_held(), at=NOON) is None


def test_results_after_the_selection_change_nothing() -> None:
    """The admin decides about what was shown."""
    job = in_testing()
    job.hear(job.succeeds(A), job.scored(A, 0.8), batch_closes(RENDERING))
    before = job.job

    job.hear(job.succeeds(B), job.scored(B, 0.99))

    assert job.job is before
    assert len(job.all(ApprovalRequested)) == 1


def test_a_task_counts_once() -> None:
    """The first word on a render stands, whatever comes after."""
    job = in_testing()
    job.hear(job.succeeds(A), job.fails(A), job.scored(A, 0.9), job.scored(A, 0.1))

    assert job.job is not None
    candidate = job.job.candidates[job.task(A)]
    assert candidate.failure is None
    assert candidate.evaluation is not None
    assert candidate.evaluation.composite_score == 0.9


def test_a_render_that_failed_for_good_stays_failed() -> None:
    """Execution has said the last word on it; a stray success must not win."""
    job = in_testing()
    job.hear(job.fails(A), job.succeeds(A), job.succeeds(B), job.scored(A, 0.9), job.scored(B, 0.1))

    assert job.one(BestResultSelected).payload.winning_provider_id == B


def test_a_charge_that_does_not_come_is_asked_for_again() -> None:
    """An answer that became a dead letter must not leave the job in publishing for ever."""
    job = publishing().hear(effect_published())
    assert job.timer("deadline") == job.at + CHARGE_WAIT

    job.hear(deadline(JobState.PUBLISHING))

    first, again = job.all(SettleTokens)
    assert again.payload == first.payload
    assert again.event_id != first.event_id, "CMD would drop what it has stored within the hour"
    assert job.timer("deadline") == job.at + 2 * CHARGE_WAIT
    job.hear(tokens_charged(), tokens_charged("evt_charged_again"))
    assert_ended(job, JobState.COMPLETE, released=False)


def test_a_reminder_that_is_heard_again_asks_under_the_same_id() -> None:
    """A redelivered timer must not add requests."""
    reminded = [
        publishing().hear(effect_published(), deadline(JobState.PUBLISHING)) for _ in range(2)
    ]

    first, again = [job.all(SettleTokens)[1] for job in reminded]
    assert first.event_id == again.event_id


def test_asking_for_the_charge_has_a_bound() -> None:
    """Later each time, a day apart at last, and not for ever."""
    job = publishing().hear(effect_published())
    waits = []
    for step in range(REMINDERS_LIMIT):
        job.hear(deadline(JobState.PUBLISHING, step=step))
        at = job.timer("deadline")
        assert at is not None
        waits.append(at - job.at)
    before = job.job

    job.hear(deadline(JobState.PUBLISHING, step=REMINDERS_LIMIT))

    assert job.job is before
    assert waits == sorted(waits)
    assert waits[-1] == BOUNDS[JobState.PUBLISHING]
    assert len(job.all(SettleTokens)) == REMINDERS_LIMIT + 1


def test_a_reminder_after_the_charge_asks_nothing() -> None:
    """The timer may be under way when the charge comes."""
    job = publishing().hear(effect_published(), tokens_charged(), deadline(JobState.PUBLISHING))

    assert len(job.all(SettleTokens)) == 1
    assert job.timer("deadline") is None


def test_step_4_an_order_that_excludes_every_provider_ends_at_once() -> None:
    """Ten minutes of waiting would not change the order."""
    job = Played(NoProvider("none within 1 tokens")).hear(*TO_TESTING)

    assert_ended(job, JobState.EXECUTION_FAILED, released=True)
    ending = job.one(JobEnded).payload
    assert (ending.code, ending.reason) == ("NO_PROVIDER", "none within 1 tokens")
    assert job.all(TestBatchDispatched) == job.all(CancelTasks) == []


def test_step_4_without_prompts_such_an_order_ends_with_its_own_reason() -> None:
    """Not with the prompts', which nobody needs."""
    job = Played(NoProvider("none within 1 tokens"))
    job.hear(*TO_TESTING[:4], deadline(JobState.PROMPTING))

    assert_ended(job, JobState.EXECUTION_FAILED, released=True)
    assert job.one(JobEnded).payload.code == "NO_PROVIDER"


def test_a_second_publication_asks_for_no_second_charge() -> None:
    """The gallery may say it twice."""
    job = publishing().hear(effect_published(), effect_published("evt_published_again"))

    assert len(job.all(SettleTokens)) == 1
    assert len(job.all(HoldTokens)) == 1
