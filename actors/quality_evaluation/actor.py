"""The shell of Quality Evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from actors.quality_evaluation import core
from actors.quality_evaluation.core import Score
from actors.quality_evaluation.ports import Judge, Looks, ScoreHistory
from actors.runtime.contract import Clock, Said
from actors.runtime.follow import follow
from media.errors import InvalidUriError, MediaNotFoundError
from media.quality import Verdict, unknown
from media.store import MediaStore
from schemas.base import Module
from schemas.events import QualityEvaluated, TaskSucceeded
from schemas.telemetry import TelemetryPacket


class QualityEvaluation:
    """Step 7: says how good a result is, and where it ranks in its job.

    Hears:    TaskSucceeded
    Says:     QualityEvaluated, TelemetryPacket
    Owns:     every score, in ``quality_evaluation.score``
    Repeats:  the same score and rank, from the history, without decoding again
    """

    def __init__(
        self,
        *,
        store: MediaStore,
        judge: Judge,
        looks: Looks,
        history: ScoreHistory,
        clock: Clock,
    ) -> None:
        self._store = store
        self._judge = judge
        self._looks = looks
        self._history = history
        self._clock = clock

    async def receive(self, heard: TaskSucceeded) -> Sequence[Said]:
        """Score the result; what cannot be measured is ``unknown`` with confidence 0."""
        found = await self._history.find(heard.tenant_id, heard.task_id)
        if found is None:
            verdict = await self._measure(heard)
            found = await self._history.add(core.score(heard, verdict, at=self._clock.now()))
        return self._answer(heard, found)

    async def _measure(self, heard: TaskSucceeded) -> Verdict:
        result = heard.payload
        try:
            async with (
                self._store.as_file(result.input_video_uri) as before,
                self._store.as_file(result.output_video_uri) as after,
            ):
                return await self._judge.judge(
                    source=before,
                    result=after,
                    effect_type=result.effect_type,
                    look=self._looks.target_look(result.provider_id),
                )
        except (MediaNotFoundError, InvalidUriError) as error:
            return unknown(str(error))

    def _answer(self, heard: TaskSucceeded, found: Score) -> Sequence[Said]:
        now = self._clock.now()
        payload = core.evaluation(found, total_candidates=heard.payload.total_candidates)
        return [
            QualityEvaluated(
                **follow(heard, QualityEvaluated, at=now), task_id=heard.task_id, payload=payload
            ),
            TelemetryPacket(
                **follow(heard, TelemetryPacket, at=now),
                module=Module.QUALITY_EVALUATION,
                samples=(core.sample(found),),
            ),
        ]
