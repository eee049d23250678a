"""The other modules, played by dice: what they answer, how often, and when it arrives.

Everything that the saga said is put on a stream that drops repeated ids. Every answer waits in a
pool, is drawn in any order, may come twice, and may be lost on the way and come again. A charge may
be lost for good, as a dead letter is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

from msgspec import structs

from actors.orchestrator.batch import NoProvider, Routing
from actors.orchestrator.core import decide, wants_route
from actors.runtime.contract import Later, Said
from actors.runtime.follow import follow
from schemas.base import EventId, Message
from schemas.commands import CancelTasks, HoldTokens, IngestVideo, ReleaseTokens, SettleTokens
from schemas.events import (
    ApprovalRequested,
    JobEnded,
    QualityEvaluated,
    TaskFailed,
    TaskSucceeded,
    TestBatchDispatched,
)
from schemas.jobs import ENDINGS, Job
from schemas.tasks import ExecutionTask
from tests.builders import (
    NOON,
    admin_approved,
    admin_rejected,
    content_analyzed,
    prompts_generated,
    quality_evaluated,
    task_failed,
    task_succeeded,
    video_ingested,
)
from tests.unit.orchestrator.script import (
    A,
    B,
    C,
    analysis_failed,
    cancel_job,
    effect_published,
    quota_exceeded,
    recommendation,
    start_job,
    tokens_charged,
    tokens_held,
    tokens_released,
    video_rejected,
)

STEPS_LIMIT = 2_000


class World:
    """One job among modules that answer by dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.job: Job | None = None
        self.said: dict[EventId, Message] = {}
        self.timers: dict[str, Later] = {}
        self.pool: list[Message] = [start_job()]
        self.at = NOON
        routing = recommendation(
            *self.dice.sample([A, B, C], self.dice.randint(1, 3)), roles={C: "shadow"}
        )
        if all(one.role == "shadow" for one in routing.recommended_providers):
            routing = recommendation(A, C, roles={C: "shadow"})
        nobody = NoProvider("none within 1 tokens")
        self.routing: Routing = nobody if self._chance(0.05) else routing
        if self._chance(0.3):
            self.pool.append(cancel_job())

    def run(self) -> None:
        """Play until nothing is left to hear."""
        for _ in range(STEPS_LIMIT):
            if not self.pool and not self._fire():
                return
            if self.timers and self._chance(0.05):
                self._fire()
            if self.pool:
                self._deliver(self.dice.randrange(len(self.pool)))
        raise AssertionError("the job never came to rest")

    def _chance(self, share: float) -> bool:
        return self.dice.random() < share

    def _deliver(self, place: int) -> None:
        heard = self.pool[place]
        self.at += timedelta(seconds=1)
        routing = self.routing if wants_route(self.job, heard) else None
        step = decide(self.job, heard, at=self.at, routing=routing)
        if self._chance(0.15):
            return  # the worker died before the record was stored; it comes again
        if not self._chance(0.15):
            self.pool.pop(place)  # otherwise the acknowledgement was lost; it comes again
        if step is None:
            return
        before, self.job = self.job, step.state
        if before is not None and before.state in ENDINGS:
            assert step.state.state is before.state, "an ending was left"
        for said in step.said:
            self._hear(said)

    def _hear(self, said: Said) -> None:
        if isinstance(said, Later):
            self.timers.pop(said.name, None)
            if said.at is not None:
                self.timers[said.name] = said
            return
        assert isinstance(said, Message)
        if said.event_id in self.said:
            return
        self.said[said.event_id] = said
        for answer in self._answers(said):
            header = follow(said, type(answer), at=self.at, part=answer.event_id)
            self.pool.append(structs.replace(answer, **header))

    def _fire(self) -> bool:
        if not self.timers:
            return False
        name = self.dice.choice(sorted(self.timers))
        timer = self.timers.pop(name)
        self.pool.append(timer.message)
        if self._chance(0.2):
            self.pool.append(timer.message)
        return True

    def _answers(self, said: Message) -> Iterator[Message]:
        match said:
            case HoldTokens():
                yield quota_exceeded() if self._chance(0.1) else tokens_held()
            case IngestVideo():
                yield from self._analysis()
            case TestBatchDispatched(payload=batch):
                for task in batch.tasks:
                    yield from self._render(task)
            case ApprovalRequested():
                yield from self._approval()
            case SettleTokens():
                if self._chance(0.8):
                    yield tokens_charged()
            case ReleaseTokens():
                yield tokens_released()
            case CancelTasks() | JobEnded() | _:
                return

    def _analysis(self) -> Iterator[Message]:
        """Modules hear each other, so all three answers are under way at once."""
        if self._chance(0.1):
            yield video_rejected()
            return
        yield video_ingested()
        if self._chance(0.1):
            yield analysis_failed()
            return
        if self._chance(0.9):
            yield content_analyzed()
        if self._chance(0.9):
            yield prompts_generated(variants=self.dice.randint(0, 3))

    def _render(
        self, task: ExecutionTask
    ) -> Iterator[TaskSucceeded | TaskFailed | QualityEvaluated]:
        name, provider = task.task_id, task.provider_id
        fate = self.dice.random()
        if fate < 0.25:
            yield task_failed(f"f_{name}", task_id=name, provider_id=provider)
        elif fate < 0.9:
            yield task_succeeded(f"s_{name}", task_id=name, provider_id=provider)
            if self._chance(0.85):
                score = self.dice.random()
                yield quality_evaluated(
                    f"q_{name}", task_id=name, provider_id=provider, composite_score=score
                )

    def _approval(self) -> Iterator[Message]:
        if self._chance(0.25):
            yield admin_rejected()
            return
        yield admin_approved()
        if self._chance(0.9):
            yield effect_published()
