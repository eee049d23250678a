"""The quality vector: several numbers, because one hides the trade-off."""

from __future__ import annotations

from msgspec import Struct

from schemas.base import ProviderId, UnitInterval


class QualityVector(Struct, frozen=True, kw_only=True):
    """Each in 0..1. Higher is better, except ``artifacts`` and the hash distance."""

    fidelity: UnitInterval
    artifacts: UnitInterval
    style_adherence: UnitInterval
    temporal_consistency: UnitInterval
    perceptual_hash_distance: UnitInterval = 0.0


class Evaluation(Struct, frozen=True, kw_only=True):
    """The payload of ``QualityEvaluated``.

    ``quality`` is ``unknown`` with ``confidence`` 0 when nothing could be measured: such a
    result stays usable and ranks below every scored one.
    """

    quality_vector: QualityVector
    composite_score: UnitInterval
    comparative_rank: int
    total_candidates: int
    confidence: UnitInterval = 1.0
    quality: str = "scored"
    reason: str = ""
    provider_id: ProviderId = ProviderId("")
    evaluator_version: str = ""


UNKNOWN_VECTOR = QualityVector(
    fidelity=0.0, artifacts=1.0, style_adherence=0.0, temporal_consistency=0.0
)
