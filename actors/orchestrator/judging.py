"""Steps 6, 7 and 9 of a job: results and evaluations in any order, then one winner. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec import structs

from actors.orchestrator.turn import BATCH, Turn
from actors.orchestrator.winner import may_win, select
from schemas.events import (
    ApprovalRequested,
    BestResultSelected,
    QualityEvaluated,
    TaskFailed,
    TaskSucceeded,
)
from schemas.jobs import Candidate, JobState, Selection

RENDERING: Final = 1
"""The step of the batch timer that closes ``TESTING``."""
JUDGING: Final = 2
"""The step of the batch timer that closes ``EVALUATING``."""
EVALUATION_BOUND: Final = timedelta(minutes=3)
"""How long evaluations may take after the last render; then quality counts as unknown."""


def hear_result(turn: Turn, heard: TaskSucceeded | TaskFailed | QualityEvaluated) -> None:
    """Note what came of one render, and choose when nothing more is awaited."""
    job = turn.job
    candidate = job.candidates.get(heard.task_id)
    if job.state not in (JobState.TESTING, JobState.EVALUATING) or candidate is None:
        return
    known = _learned(candidate, heard)
    if known is candidate:
        return
    turn.change(candidates={**job.candidates, heard.task_id: known})
    waited = [one for one in turn.job.candidates.values() if may_win(one)]
    if may_win(known) and not isinstance(heard, QualityEvaluated):
        done = sum(map(_is_finished, waited))
        turn.progress(
            f"{done} of {len(waited)} renders finished",
            part=f".{heard.task_id}",
            percent=done / len(waited),
            task_id=heard.task_id,
            provider_id=known.task.provider_id,
        )
    if turn.job.state is JobState.TESTING and all(map(_is_finished, waited)):
        turn.enter(type(heard), "every render is finished")
    judge(turn)


def _learned(
    candidate: Candidate, heard: TaskSucceeded | TaskFailed | QualityEvaluated
) -> Candidate:
    """Return the candidate with what this message tells; the first word on each thing counts."""
    match heard:
        case QualityEvaluated(payload=evaluation) if candidate.evaluation is None:
            return structs.replace(candidate, evaluation=evaluation)
        case TaskSucceeded(payload=result) if not _is_finished(candidate):
            return structs.replace(candidate, result=result)
        case TaskFailed(payload=failure) if not _is_finished(candidate):
            return structs.replace(candidate, failure=failure)
    return candidate


def _is_finished(candidate: Candidate) -> bool:
    return candidate.result is not None or candidate.failure is not None


def judge(turn: Turn, *, closed: bool = False) -> None:
    """Choose as soon as every result is evaluated, or when the time for that is over."""
    if turn.job.state is not JobState.EVALUATING:
        return
    unjudged = any(
        may_win(one) and one.result is not None and one.evaluation is None
        for one in turn.job.candidates.values()
    )
    if unjudged and not closed:
        turn.set_timer(BATCH, purpose=BATCH, after=EVALUATION_BOUND, step=JUDGING)
        return
    selection = select(turn.job)
    if selection is None:
        _nobody_delivered(turn)
    else:
        _ask_for_approval(turn, selection)


def _nobody_delivered(turn: Turn) -> None:
    told = [
        f"{one.task.provider_id} {one.failure.error_code if one.failure else 'did not finish'}"
        for one in turn.job.candidates.values()
        if may_win(one)
    ]
    reason = f"none of {len(told)} renders succeeded: {', '.join(told)}"
    turn.end(TaskFailed, code="no_result", reason=reason)


def _ask_for_approval(turn: Turn, selection: Selection) -> None:
    turn.change(selection=selection)
    turn.say(BestResultSelected(**turn.header(BestResultSelected), payload=selection))
    turn.enter(BestResultSelected, selection.comparison_summary)
    turn.say(ApprovalRequested(**turn.header(ApprovalRequested), payload=selection))
    turn.enter(ApprovalRequested, "an admin decides about publication")
    turn.drop_timer(BATCH)
    if any(may_win(one) and not _is_finished(one) for one in turn.job.candidates.values()):
        turn.cancel_open_tasks(reason="the batch is closed")
