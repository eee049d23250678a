"""From a verdict to a score, and from scores to ranks.

A rank is a competition rank, 1 1 3: two results share one when the intervals of their composites
meet, because then nobody can say which is better. What ranks above a score is whatever is surely
better, so a rank does not hang on the order in which scores come in, only on which are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct, structs

from media.quality import EVALUATOR_VERSION, Verdict
from schemas.base import JobId, ProviderId, TaskId, TenantId
from schemas.events import TaskSucceeded
from schemas.quality import UNKNOWN_VECTOR, Evaluation, QualityVector
from schemas.telemetry import QualityMeasured

SCORED = "scored"
UNKNOWN = "unknown"
_DIGITS = 6
"""Scores are rounded before they are compared, so that ranks do not hang on the last bit."""


class Score(Struct, frozen=True, kw_only=True):
    """What one task's result was worth. ``rank`` is its place when it was first said."""

    task_id: TaskId
    job_id: JobId
    tenant_id: TenantId
    provider_id: ProviderId
    effect_type: str
    composite: float
    vector: QualityVector
    confidence: float
    evaluator_version: str
    at: datetime
    reason: str = ""
    rank: int = 0
    low: float | None = None
    """Nine of ten times the composite lies between ``low`` and ``high``."""
    high: float | None = None
    details: bytes = b"{}"
    """Curve, scenes, worst moments and the measured look, as JSON."""

    @property
    def known(self) -> bool:
        """Whether anything could be measured."""
        return self.confidence > 0.0


def score(heard: TaskSucceeded, verdict: Verdict, *, at: datetime) -> Score:
    """Return the score of a verdict, not ranked yet."""
    vector = UNKNOWN_VECTOR
    if verdict.known:
        vector = QualityVector(
            fidelity=round(verdict.fidelity, _DIGITS),
            artifacts=round(verdict.artifacts, _DIGITS),
            style_adherence=round(verdict.style_adherence, _DIGITS),
            temporal_consistency=round(verdict.temporal_consistency, _DIGITS),
            perceptual_hash_distance=round(verdict.perceptual_hash_distance, _DIGITS),
        )
    return Score(
        task_id=heard.task_id,
        job_id=heard.correlation_id,
        tenant_id=heard.tenant_id,
        provider_id=heard.payload.provider_id,
        effect_type=heard.payload.effect_type,
        composite=round(verdict.composite, _DIGITS) if verdict.known else 0.0,
        vector=vector,
        confidence=round(verdict.confidence, _DIGITS) if verdict.known else 0.0,
        evaluator_version=EVALUATOR_VERSION,
        at=at,
        reason=_reason(verdict),
        low=round(verdict.low, _DIGITS) if verdict.known else None,
        high=round(verdict.high, _DIGITS) if verdict.known else None,
        details=_details(verdict),
    )


def _reason(verdict: Verdict) -> str:
    """Return the findings, and when the result is worst."""
    worst = [
        f"worst from {at.start_ms / 1000:.1f} to {at.end_ms / 1000:.1f} s ({at.composite:.2f})"
        for at in verdict.worst[:1]
    ]
    return "; ".join((*verdict.findings, *worst))


def _details(verdict: Verdict) -> bytes:
    return msgspec.json.encode(
        {
            "curve": verdict.curve,
            "scenes": verdict.scenes,
            "worst": verdict.worst,
            "look": {key: round(value, _DIGITS) for key, value in verdict.look.items()},
            "extra": dict(verdict.extra),
        }
    )


def ranked(new: Score, earlier: Iterable[Score]) -> Score:
    """Return ``new`` with its competition rank among the job's scores so far.

    What could not be measured comes after everything that could. Scores of another evaluator
    version are not compared; they do not count.
    """
    better = sum(1 for other in earlier if _beats(other, new))
    return structs.replace(new, rank=1 + better)


def evaluation(found: Score, *, total_candidates: int) -> Evaluation:
    """Return the payload of ``QualityEvaluated``."""
    return Evaluation(
        quality_vector=found.vector,
        composite_score=found.composite,
        comparative_rank=found.rank,
        total_candidates=max(total_candidates, found.rank),
        confidence=found.confidence,
        quality=SCORED if found.known else UNKNOWN,
        reason=found.reason,
        provider_id=found.provider_id,
        evaluator_version=found.evaluator_version,
    )


def sample(found: Score) -> QualityMeasured:
    """Return the measurement for the telemetry stream."""
    return QualityMeasured(
        at=found.at,
        task_id=found.task_id,
        job_id=found.job_id,
        tenant_id=found.tenant_id,
        provider_id=found.provider_id,
        effect_type=found.effect_type,
        quality_vector=found.vector,
        composite_score=found.composite,
        confidence=found.confidence,
    )


def _beats(other: Score, new: Score) -> bool:
    if other.known != new.known:
        return other.known
    if not other.known or other.evaluator_version != new.evaluator_version:
        return False
    sure = other.composite if other.low is None else other.low
    most = new.composite if new.high is None else new.high
    return other.composite > new.composite and sure > most
