"""Results beside the clip they were made from: scored and ranked as the running stack does it.

The input is normalised first unless it is a mezzanine, for providers are given mezzanines; a result
is measured as it came. The judge and the rules of ranking are Quality Evaluation's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
from msgspec import Struct

from actors.quality_evaluation import core
from actors.quality_evaluation.core import Score
from actors.quality_evaluation.pixels import PixelJudge
from effectmesh.footage.asking import NoAnswerError, vmaf
from effectmesh.footage.names import labels
from media.quality import Moment, Verdict, unknown
from media.verdicts import IntakeLimits, size_refusal
from schemas.base import EPOCH, JobId, ProviderId, TaskId, WorkflowId
from schemas.events import TaskSucceeded
from schemas.quality import QualityVector
from schemas.tasks import ExecutionTelemetry, TaskResult

MAX_OUTPUTS: Final = 8
_JOB: Final = JobId("job_compared")
_UNMETERED: Final = ExecutionTelemetry(
    actual_cost_tokens=0,
    actual_duration_ms=0,
    gpu_type="",
    gpu_seconds=0.0,
    queue_wait_ms=0,
    comfyui_node_timings={},
)
_NEXT: Final = "Render it again, or export it as MP4 (H.264)."


class Wanted(Struct, frozen=True, kw_only=True):
    """What was asked for."""

    effect_type: str = ""
    """Empty when nothing should have changed: a copy, a transcode, a repair."""
    provider_id: str = ""
    look: Mapping[str, float] = {}
    """Of the provider; empty when it names none."""


class Scored(Struct, frozen=True, kw_only=True):
    """One result: what it scored, or why nobody knows."""

    file: str
    quality: str
    """``scored`` or ``unknown``."""
    rank: int
    tie: bool
    """Whether another result has the same rank."""
    quality_vector: QualityVector
    composite_score: float
    low: float | None
    high: float | None
    """Nine of ten times the composite lies between these."""
    confidence: float
    evaluator_version: str
    reasons: tuple[str, ...]
    hint: str = ""
    """What to do about an unknown result."""
    worst: tuple[Moment, ...] = ()
    scenes: tuple[Moment, ...] = ()
    curve: tuple[Moment, ...] = ()
    look: Mapping[str, float] = {}
    vmaf: float | None = None
    vmaf_reason: str = ""

    @property
    def known(self) -> bool:
        """Whether anything could be measured."""
        return self.quality == core.SCORED


class Comparison(Struct, frozen=True, kw_only=True):
    """Every result, the best first."""

    input: str
    normalized: bool
    """Whether the input was normalised before anything was compared with it."""
    effect_type: str
    provider_id: str
    evaluator_version: str
    outputs: tuple[Scored, ...]


async def scored(
    source: Path,
    results: Sequence[Path],
    wanted: Wanted,
    *,
    limits: IntakeLimits,
    with_vmaf: bool = False,
    done: Callable[[], None] = lambda: None,
) -> list[Scored]:
    """Return every result with its score, the best first; ``done`` is called after each.

    Raises:
        TryLater: nothing can be decoded on this machine now.
    """
    judge = PixelJudge()
    verdicts = [unknown("it was not looked at")] * len(results)
    opinions: list[tuple[float | None, str]] = [(None, "")] * len(results)
    hints = [""] * len(results)

    async def look(at: int) -> None:
        verdicts[at], hints[at] = await _verdict(judge, source, results[at], wanted, limits)
        if with_vmaf and verdicts[at].known:
            opinions[at] = await _opinion(source, results[at])
        done()

    async with anyio.create_task_group() as group:
        for at in range(len(results)):
            group.start_soon(look, at)
    scores = [_score(at, verdict, wanted) for at, verdict in enumerate(verdicts)]
    ranks = [
        core.ranked(score, [other for other in scores if other is not score]).rank
        for score in scores
    ]
    shared = Counter(rank for rank, score in zip(ranks, scores, strict=True) if score.known)
    found = [
        _told(name, score, verdict, rank, tie=shared[rank] > 1, opinion=opinion, hint=hint)
        for name, score, verdict, rank, opinion, hint in zip(
            labels(results), scores, verdicts, ranks, opinions, hints, strict=True
        )
    ]
    return sorted(found, key=lambda each: (each.rank, -each.composite_score))


async def _verdict(
    judge: PixelJudge, source: Path, result: Path, wanted: Wanted, limits: IntakeLimits
) -> tuple[Verdict, str]:
    """Return the verdict, and what to do about an unknown one."""
    try:
        size = (await anyio.Path(result).stat()).st_size
        if refusal := size_refusal(size, limits):
            return unknown(refusal.reason), refusal.hint
        verdict = await judge.judge(
            source=source, result=result, effect_type=wanted.effect_type, look=wanted.look
        )
    except OSError as error:
        why = (error.strerror or "unknown reason").lower()
        return unknown(f"it cannot be read: {why}"), "check the file"
    return verdict, "" if verdict.known else _NEXT


async def _opinion(source: Path, result: Path) -> tuple[float | None, str]:
    try:
        return await vmaf(source, result), ""
    except NoAnswerError as error:
        return None, str(error)


def _told(
    name: str,
    score: Score,
    verdict: Verdict,
    rank: int,
    *,
    tie: bool,
    opinion: tuple[float | None, str],
    hint: str,
) -> Scored:
    return Scored(
        file=name,
        quality=core.SCORED if score.known else core.UNKNOWN,
        rank=rank,
        tie=tie and score.known,
        quality_vector=score.vector,
        composite_score=score.composite,
        low=score.low,
        high=score.high,
        confidence=score.confidence,
        evaluator_version=score.evaluator_version,
        reasons=verdict.findings,
        hint=hint,
        worst=verdict.worst,
        scenes=verdict.scenes,
        curve=verdict.curve,
        look=verdict.look,
        vmaf=opinion[0],
        vmaf_reason=opinion[1],
    )


def _score(at: int, verdict: Verdict, wanted: Wanted) -> Score:
    """Return the score that the module would store for such a result."""
    result = TaskResult(
        provider_id=ProviderId(wanted.provider_id),
        workflow_id=WorkflowId(""),
        output_video_uri="",
        effect_type=wanted.effect_type,
        execution_telemetry=_UNMETERED,
    )
    heard = TaskSucceeded(correlation_id=_JOB, task_id=TaskId(f"task_{at}"), payload=result)
    return core.score(heard, verdict, at=EPOCH)
