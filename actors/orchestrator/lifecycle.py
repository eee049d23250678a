"""The lifecycle of a job as a table. The diagram in the docs is drawn from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from schemas.base import Message
from schemas.commands import CancelJob, StartJob, Wake
from schemas.events import (
    AdminApproved,
    AdminRejected,
    AnalysisFailed,
    ApprovalRequested,
    BestResultSelected,
    ContentAnalyzed,
    EffectPublished,
    JobEnded,
    PromptsGenerated,
    TaskFailed,
    TaskSucceeded,
    TestBatchDispatched,
    TokensCharged,
    UserQuotaExceeded,
    VideoIngested,
    VideoRejected,
)
from schemas.jobs import ENDINGS, JobState

_S = JobState

NEXT: Final[Mapping[tuple[JobState, type[Message]], JobState]] = {
    (_S.INGESTED, VideoIngested): _S.ANALYZING,
    (_S.INGESTED, VideoRejected): _S.ANALYSIS_FAILED,
    # the analysis hears of a clip when we do, so its answer may be here first
    (_S.INGESTED, AnalysisFailed): _S.ANALYSIS_FAILED,
    (_S.INGESTED, UserQuotaExceeded): _S.QUOTA_EXCEEDED,
    (_S.ANALYZING, ContentAnalyzed): _S.PROMPTING,
    (_S.ANALYZING, AnalysisFailed): _S.ANALYSIS_FAILED,
    (_S.PROMPTING, PromptsGenerated): _S.ROUTING,
    (_S.ROUTING, TestBatchDispatched): _S.TESTING,
    # the order excludes every provider, and waiting would not change that
    (_S.ROUTING, JobEnded): _S.EXECUTION_FAILED,
    (_S.TESTING, TaskSucceeded): _S.EVALUATING,
    (_S.TESTING, TaskFailed): _S.EVALUATING,
    (_S.TESTING, Wake): _S.EVALUATING,
    (_S.EVALUATING, BestResultSelected): _S.SELECTED,
    (_S.EVALUATING, TaskFailed): _S.EXECUTION_FAILED,
    (_S.SELECTED, ApprovalRequested): _S.AWAITING_APPROVAL,
    (_S.AWAITING_APPROVAL, AdminApproved): _S.PUBLISHING,
    # the gallery hears of the approval when we do
    (_S.AWAITING_APPROVAL, EffectPublished): _S.PUBLISHING,
    (_S.AWAITING_APPROVAL, AdminRejected): _S.REJECTED,
    (_S.PUBLISHING, TokensCharged): _S.COMPLETE,
    **{
        (state, Wake): _S.TIMED_OUT
        for state in (_S.INGESTED, _S.ANALYZING, _S.PROMPTING, _S.PUBLISHING)
    },
    **{(state, CancelJob): _S.CANCELLED for state in JobState if state not in ENDINGS},
}
"""Where a job goes from a state because of a message, its own facts included.

A message with no entry changes nothing. ``ROUTING`` and ``SELECTED`` are passed through within
one step. ``TESTING`` and ``EVALUATING`` are bounded by the batch: a winner, or a failure.
"""

BOUNDS: Final[Mapping[JobState, timedelta]] = {
    _S.INGESTED: timedelta(minutes=20),
    _S.ANALYZING: timedelta(minutes=20),
    _S.PROMPTING: timedelta(minutes=10),
    _S.AWAITING_APPROVAL: timedelta(days=1),
    _S.PUBLISHING: timedelta(days=1),
}
"""How long a job may rest in a state. For ``AWAITING_APPROVAL`` it is the time between two
reminders: approval never times out. Nor does the charge of a published job, see below."""

CHARGE_WAIT: Final = timedelta(minutes=5)
"""A published job that was not charged within this time asks again, then after twice as long, and
so on up to ``BOUNDS``: the request or its answer may lie among the dead letters."""

REMINDERS_LIMIT: Final = 30
"""Reminders of one state; after that a person has been told often enough."""


def charge_wait(step: int) -> timedelta:
    """Return how long a published job waits for its charge when it has asked again so often."""
    return min(CHARGE_WAIT * (1 << min(step, REMINDERS_LIMIT)), BOUNDS[_S.PUBLISHING])


def diagram() -> str:
    """Return the lifecycle as a Mermaid state diagram."""
    labels: dict[tuple[JobState, JobState], list[str]] = {}
    for (state, kind), following in NEXT.items():
        labels.setdefault((state, following), []).append(kind.__name__)
    lines = ["stateDiagram-v2", f"    [*] --> {JobState.INGESTED}: {StartJob.__name__}"]
    lines += [
        f"    {state} --> {following}: {', '.join(kinds)}"
        for (state, following), kinds in labels.items()
    ]
    lines += [f"    {state} --> [*]" for state in JobState if state in ENDINGS]
    return "\n".join(lines) + "\n"
