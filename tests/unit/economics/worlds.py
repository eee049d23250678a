"""A market of providers, and the telemetry that jobs in it would leave."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from economics.policy import Policy, build_manifest
from economics.render_times import RenderTimes
from economics.statistics import Statistics
from schemas.base import JobId, ProviderId, TaskId, TenantId, WorkflowId
from schemas.quality import QualityVector
from schemas.routing import CostModel, ProviderRecord, RoutingManifest
from schemas.telemetry import QualityMeasured, TaskMeasured
from tests.builders import NOON

EFFECT = "style_transfer"
CYCLE = timedelta(minutes=15)


class Maker(Struct, kw_only=True):
    """What a provider really is, which the engine can only find out."""

    name: str
    tokens: float = 1.0
    quality: float = 0.8
    seconds: float = 3.0
    failing: float = 0.0


def record(name: str, **changes: object) -> ProviderRecord:
    """Return a provider's record; all declare the same."""
    known: dict[str, object] = {
        "provider_id": ProviderId(name),
        "display_name": name,
        "adapter_class": "",
        "config_path": "",
        "workflow_json_path": "",
        "capabilities": (EFFECT,),
        "supported_effect_types": ("cinematic",),
        "node_dependencies": (),
        "cost_model": CostModel(
            base_cost_per_frame=0.0, gpu_type_required="cpu", avg_gpu_seconds_per_frame=0.02
        ),
        "workflow_id": WorkflowId(f"wf_{name}"),
    }
    return ProviderRecord(**(known | changes))  # type: ignore[arg-type]


class World:
    """Runs jobs against the makers and keeps the policy up to date."""

    def __init__(self, *makers: Maker, seed: int = 1) -> None:
        self.makers = {maker.name: maker for maker in makers}
        self.statistics = Statistics()
        self.render_times = RenderTimes()
        self.now = NOON
        self.manifest: RoutingManifest | None = None
        self.records: Sequence[ProviderRecord] = [record(maker.name) for maker in makers]
        self._dice = random.Random(seed)
        self._count = 0

    def work(self, *names: str, jobs: int = 1) -> None:
        """Let the named makers, or all of them, do so many jobs within one cycle."""
        for _ in range(jobs):
            self.now += CYCLE / (4 * jobs)
            for name in names or tuple(self.makers):
                self._one(self.makers[name])

    def cycle(self, reason: str = "policy cycle") -> Policy:
        """Let the cycle end and build the next manifest."""
        self.now += CYCLE / 2
        policy = build_manifest(
            records=self.records,
            statistics=self.statistics,
            render_times=self.render_times,
            effects=frozenset({EFFECT}),
            previous=self.manifest,
            now=self.now,
            reason=reason,
        )
        self.manifest = policy.manifest
        return policy

    def weight(self, name: str) -> float:
        """Return a provider's share in the manifest."""
        assert self.manifest is not None
        routes = self.manifest.effects[EFFECT].providers
        return next(each.weight for each in routes if each.provider_id == name)

    def default(self) -> str:
        """Return the default provider."""
        assert self.manifest is not None
        return self.manifest.effects[EFFECT].default_provider_id

    def _one(self, maker: Maker) -> None:
        self._count += 1
        succeeded = self._dice.random() >= maker.failing
        noise = math.exp(self._dice.gauss(0.0, 0.1))
        self.statistics.task(
            task(
                maker.name,
                self._count,
                self.now,
                succeeded=succeeded,
                tokens=maker.tokens * noise,
                seconds=maker.seconds * noise,
            )
        )
        if succeeded:
            score = min(1.0, max(0.0, self._dice.gauss(maker.quality, 0.08)))
            self.statistics.quality(quality(maker.name, self._count, self.now, score))


def task(
    name: str,
    number: int,
    at: datetime,
    *,
    succeeded: bool = True,
    tokens: float = 1.0,
    seconds: float = 3.0,
    error_code: str = "",
) -> TaskMeasured:
    """Return the measurement of one task."""
    return TaskMeasured(
        at=at,
        task_id=TaskId(f"task_{number}"),
        job_id=JobId(f"job_{number}"),
        tenant_id=TenantId("tnt_1"),
        provider_id=ProviderId(name),
        effect_type=EFFECT,
        succeeded=succeeded,
        cost_microtokens=round(tokens * 1_000_000),
        gpu_seconds=seconds,
        duration_ms=round(seconds * 1_000),
        frames=150,
        error_code=error_code or ("" if succeeded else "HOST_ERROR"),
    )


def quality(
    name: str, number: int, at: datetime, score: float, *, confidence: float = 1.0
) -> QualityMeasured:
    """Return the measurement of one output."""
    return QualityMeasured(
        at=at,
        task_id=TaskId(f"task_{number}"),
        job_id=JobId(f"job_{number}"),
        tenant_id=TenantId("tnt_1"),
        provider_id=ProviderId(name),
        effect_type=EFFECT,
        quality_vector=QualityVector(
            fidelity=score,
            artifacts=1.0 - score,
            style_adherence=score,
            temporal_consistency=score,
        ),
        composite_score=score,
        confidence=confidence,
    )
