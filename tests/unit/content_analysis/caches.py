"""What every ``AnalysisCache`` must do; run against memory and against Postgres."""

from __future__ import annotations

from actors.content_analysis.ports import AnalysisCache
from schemas.base import TenantId
from schemas.video import Analysis, Eligibility, Scene
from tests.builders import TENANT, analysis

OTHER = TenantId("tnt_2")
HASH = "ab" * 32


def whole() -> Analysis:
    """Return an answer with something in every field."""
    return analysis(
        scenes=(
            Scene(
                start_ms=0,
                end_ms=4000,
                description="a cat, “dim”",
                objects=("cat",),
                brightness=0.4,
                motion=0.1,
                colors=("brown",),
                camera="pan_left",
                subject_motion=0.2,
                people=True,
                text=True,
                object_confidence={"cat": 0.91},
            ),
        ),
        detected_effects=("letterbox",),
        effect_confidence={"letterbox": 0.8},
        eligibility=(Eligibility(effect_type="framing", eligible=True, reason="any clip"),),
        style_runner_up="cool",
        described_by="chat:x",
        analyzer_version="v1",
        degraded=True,
    )


async def gives_back_what_it_was_given(cache: AnalysisCache) -> None:
    """Return every field as it was."""
    await cache.keep(TENANT, HASH, "v1", whole())

    assert await cache.find(TENANT, HASH, "v1") == whole()


async def knows_nothing_at_first(cache: AnalysisCache) -> None:
    """Return nothing, which is no error."""
    assert await cache.find(TENANT, HASH, "v1") is None


async def misses_under_another_version(cache: AnalysisCache) -> None:
    """Let a new analyzer look again."""
    await cache.keep(TENANT, HASH, "v1", whole())

    assert await cache.find(TENANT, HASH, "v2") is None


async def keeps_tenants_apart(cache: AnalysisCache) -> None:
    """Tell nobody that somebody else uploaded the same bytes."""
    await cache.keep(TENANT, HASH, "v1", whole())

    assert await cache.find(OTHER, HASH, "v1") is None


async def keeps_the_first_answer(cache: AnalysisCache) -> None:
    """Let two workers who watched the same clip say the same from then on."""
    await cache.keep(TENANT, HASH, "v1", whole())
    await cache.keep(TENANT, HASH, "v1", analysis(dominant_style="vivid"))

    assert await cache.find(TENANT, HASH, "v1") == whole()


async def forgets_every_version_of_one_tenant(cache: AnalysisCache) -> None:
    """Leave nothing of a deleted video behind, and take nothing of others with it."""
    await cache.keep(TENANT, HASH, "v1", whole())
    await cache.keep(TENANT, HASH, "v2", whole())
    await cache.keep(OTHER, HASH, "v1", whole())

    await cache.forget(TENANT, HASH)

    assert await cache.find(TENANT, HASH, "v1") is None
    assert await cache.find(TENANT, HASH, "v2") is None
    assert await cache.find(OTHER, HASH, "v1") == whole()


CHECKS = (
    gives_back_what_it_was_given,
    knows_nothing_at_first,
    misses_under_another_version,
    keeps_tenants_apart,
    keeps_the_first_answer,
    forgets_every_version_of_one_tenant,
)
