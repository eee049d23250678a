"""Renders of all sizes on hosts whose laws nobody knows, and what was predicted of each."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from actors.orchestrator.batch import work_of
from economics.policy import build_manifest
from economics.render_times import RenderTimes
from economics.statistics import Statistics
from schemas.base import ProviderId
from schemas.routing import (
    CostModel,
    ProviderRecord,
    ProviderRoute,
    RecommendedProvider,
    RenderTime,
    RoutingManifest,
)
from schemas.tasks import Work
from schemas.telemetry import TaskMeasured
from schemas.video import PromptVariant
from tests.builders import NOON, metadata
from tests.unit.economics.worlds import EFFECT, record, task

SIZES = ("426x240", "640x360", "854x480", "1280x720", "1920x1080")
CYCLE = 10
"""Renders between two manifests."""
NOISE = 0.08
"""Of each node; and that much again of the host."""


class Law(Struct, frozen=True, kw_only=True):
    """What a node class really takes. Real ones are not quite in proportion to the pixels."""

    fixed_ms: float = 0.0
    ms_per_megapixel: float = 0.0
    power: float = 1.0
    by_steps: bool = False

    def ms(self, work: Work) -> float:
        """Return what it takes without noise."""
        megapixels = work.frames * work.pixels / 1e6
        steps = work.steps if self.by_steps else 1
        return self.fixed_ms + self.ms_per_megapixel * megapixels**self.power * steps


LAWS: Mapping[str, Law] = {
    "LoadVideo": Law(fixed_ms=60, ms_per_megapixel=3.0),
    "ImageBlur": Law(fixed_ms=5, ms_per_megapixel=14.0),
    "ImageBlend": Law(fixed_ms=5, ms_per_megapixel=8.0),
    "VAEEncode": Law(fixed_ms=200, ms_per_megapixel=30.0),
    "KSampler": Law(fixed_ms=800, ms_per_megapixel=20.0, power=1.06, by_steps=True),
    "VAEDecode": Law(fixed_ms=200, ms_per_megapixel=60.0),
    "SaveVideo": Law(fixed_ms=120, ms_per_megapixel=6.0),
}
AROUND = Law(fixed_ms=350, ms_per_megapixel=2.0)
GLOW = ("LoadVideo", "ImageBlur", "ImageBlend", "SaveVideo")
SAMPLED = ("LoadVideo", "VAEEncode", "KSampler", "VAEDecode", "SaveVideo")


def provider(name: str, classes: Sequence[str], **changes: object) -> ProviderRecord:
    """Return a provider whose graph has a node of each of these classes."""
    graph = {str(place): {"class_type": each} for place, each in enumerate(classes)}
    known: dict[str, object] = {
        "graph": graph,
        "cost_model": CostModel(
            base_cost_per_frame=0.0, gpu_type_required="A10G", avg_gpu_seconds_per_frame=0.1
        ),
        "default_parameters": {"steps": 20} if "KSampler" in classes else {},
    }
    return record(name, **(known | changes))


class Renders:
    """Lets clips of all sizes be rendered; ``errors`` are those of the predictions made before."""

    def __init__(self, *records: ProviderRecord, seed: int, by_nodes: bool = True) -> None:
        self.records = list(records)
        self.errors: list[float] = []
        self.render_times = RenderTimes()
        self._statistics = Statistics()
        self._by_nodes = by_nodes
        self._manifest: RoutingManifest | None = None
        self._count = 0
        self._dice = random.Random(seed)

    def run(self, count: int, *, name: str = "", **changes: object) -> None:
        """Render so many clips, each with the provider of this name or with any."""
        for _ in range(count):
            if self._count % CYCLE == 0:
                self.publish()
            chosen = name or self._dice.choice(self.records).provider_id
            sample = replace(self.render(ProviderId(chosen)), **changes)
            self._statistics.task(sample)
            self.render_times.update(sample)
            if sample.succeeded and not sample.cached:
                self.errors.append(abs(sample.predicted_ms / sample.duration_ms - 1.0))

    def publish(self) -> None:
        """Make the manifest that the next predictions rest on."""
        self._manifest = build_manifest(
            records=self.records,
            statistics=self._statistics,
            render_times=self.render_times,
            effects=frozenset({EFFECT}),
            previous=self._manifest,
            now=NOON + timedelta(minutes=self._count),
            reason="test",
        ).manifest

    def route(self, provider_id: ProviderId) -> ProviderRoute:
        """Return what the manifest says of a provider."""
        assert self._manifest is not None
        routes = self._manifest.effects[EFFECT].providers
        return next(each for each in routes if each.provider_id == provider_id)

    def render(self, provider_id: ProviderId) -> TaskMeasured:
        """Return what is measured of one clip, and was predicted of it."""
        self._count += 1
        route = self.route(provider_id)
        work = self._work(route)
        host = math.exp(self._dice.gauss(0.0, NOISE))
        classes = [str(each["class_type"]) for each in self._record(provider_id).graph.values()]
        nodes = {name: self._took(LAWS[name], work, host) for name in classes}
        at = NOON + timedelta(minutes=self._count)
        return replace(
            task(str(provider_id), self._count, at),
            duration_ms=sum(nodes.values()) + self._took(AROUND, work, host),
            predicted_ms=work.predicted_ms,
            frames=work.frames,
            input_frames=work.frames,
            pixels=work.pixels,
            steps=work.steps,
            nodes=nodes,
            node_runs=dict.fromkeys(classes, 1),
            gpu_type="A10G",
        )

    @property
    def median_error(self) -> float:
        """Return the median relative error."""
        return statistics.median(self.errors)

    def _work(self, route: ProviderRoute) -> Work:
        """Return the work of some clip, as the Orchestrator counts and predicts it."""
        asked = self._dice.choice((10, 15, 20, 30, 40))
        clip = metadata(
            frame_count=self._dice.randint(24, 300), resolution=self._dice.choice(SIZES)
        )
        prompt = PromptVariant(
            prompt_text="",
            target_effect_type=EFFECT,
            parameters={"steps": asked} if route.default_steps > 1 else {},
        )
        chosen = RecommendedProvider(
            provider_id=route.provider_id,
            expected_cost_tokens=1,
            expected_quality_score={},
            expected_duration_ms=route.expected_duration_ms,
            confidence="low",
            reason="",
            usual_frames=route.usual_frames,
            render_time=route.render_time if self._by_nodes else RenderTime(),
            default_steps=route.default_steps,
        )
        return work_of(clip, chosen, prompt)

    def _took(self, law: Law, work: Work, host: float) -> int:
        return max(1, round(law.ms(work) * host * math.exp(self._dice.gauss(0.0, NOISE))))

    def _record(self, provider_id: ProviderId) -> ProviderRecord:
        return next(each for each in self.records if each.provider_id == provider_id)
