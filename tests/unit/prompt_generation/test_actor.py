"""Every job gets words to ask with, whatever was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from actors.prompt_generation.core import Template, Variant
from actors.prompt_generation.errors import TemplateFailedError
from actors.prompt_generation.files import SHIPPED, TemplateFiles
from actors.prompt_generation.history import Asked
from actors.prompt_generation.memory import MemoryHistory
from actors.runtime.contract import TryLater
from schemas.base import EventId, JobId, TenantId
from schemas.events import ContentAnalyzed
from schemas.video import EffectRequest, PromptVariant, Scene
from tests.builders import analysis, content_analyzed, effect_request
from tests.unit.prompt_generation.world import (
    RIVALS,
    TEMPLATES,
    FixedRanking,
    asking,
    known,
    module,
    painterly,
    prompts,
)


@pytest.mark.parametrize(
    ("effect_type", "subtype", "word"),
    [
        ("color_correction", "", "warm"),
        ("color_correction", "cinematic_warm", "warm"),
        ("style_transfer", "", "glow"),
        ("style_transfer", "dream", "glow"),
        ("style_transfer", "pixelate", "pixel"),
        ("style_transfer", "painterly", "paint"),
        ("motion_enhancement", "", "motion"),
        ("style_transfer", "film_grain", "grain"),
        ("style_transfer", "glow", "glow"),
        ("style_transfer", "posterize", "poster"),
        ("style_transfer", "vhs", "vhs"),
        ("style_transfer", "ink", "ink"),
        ("style_transfer", "vignette", "corners"),
        ("style_transfer", "noir", "black and white"),
        ("style_transfer", "teal_orange", "teal"),
        ("detail_enhancement", "", "crisp"),
        ("detail_enhancement", "clarity", "clarity"),
        ("framing", "", "bars"),
    ],
)
async def test_known_effects_have_their_own_words(
    effect_type: str, subtype: str, word: str
) -> None:
    """Two to four variants, each a complete way to ask."""
    said = await prompts(content_analyzed(request=asking(effect_type, subtype)))

    assert not said.fallback_used
    assert 2 <= len(said.prompt_variants) <= 4
    assert word in said.prompt_variants[0].prompt_text.lower()
    assert len({variant.prompt_text for variant in said.prompt_variants}) == len(
        said.prompt_variants
    )
    for variant in said.prompt_variants:
        assert variant.target_effect_type == effect_type
        assert variant.negative_prompt
        assert "@1/" in variant.template_id
        assert variant.parameters.keys() == {"strength", "seed", "steps", "cfg_scale"}


async def test_a_caption_is_what_the_user_wrote_and_nothing_else() -> None:
    """It is drawn into the picture; a sentence around it would be drawn too."""
    said = await prompts(content_analyzed(request=asking("text_overlay", "caption", "Grüße 東京!")))

    assert not said.fallback_used
    assert {variant.prompt_text for variant in said.prompt_variants} == {"Grüße 東京!"}


async def test_a_caption_nobody_wrote_says_what_is_seen() -> None:
    """An empty line would be paid for."""
    heard = content_analyzed(request=asking("text_overlay"))
    said = await prompts(heard)

    assert said.prompt_variants[0].prompt_text == heard.payload.analysis.scenes[0].description


@pytest.mark.parametrize(
    "request_",
    [asking("fly_to_the_moon"), asking("style_transfer", "cubism"), asking("../../etc/passwd")],
)
async def test_an_unknown_effect_gets_a_fallback(request_: EffectRequest) -> None:
    """The pipeline goes on, and says that it guessed."""
    said = await prompts(content_analyzed(request=request_))

    assert said.fallback_used
    assert said.prompt_variants


async def test_a_job_without_a_request_gets_what_fits() -> None:
    """Older messages have none."""
    heard = content_analyzed()
    bare = type(heard.payload)(video_id=heard.payload.video_id, analysis=heard.payload.analysis)
    heard = ContentAnalyzed(
        event_id=heard.event_id, correlation_id=heard.correlation_id, payload=bare
    )

    said = await prompts(heard)

    assert said.prompt_variants[0].target_effect_type == "color_correction"


async def test_a_broken_template_gives_way_to_the_generic_one(tmp_path: Path) -> None:
    """One bad file must not stop every job of its effect."""
    for file in SHIPPED.glob("*.toml"):
        words = file.read_text()
        if file.name.startswith("color_correction"):
            words = words.replace("{{ brightness }}", "{{ no_such_fact }}")
        (tmp_path / file.name).write_text(words)

    said = await prompts(content_analyzed(), module(templates=TemplateFiles(tmp_path)))

    assert said.fallback_used
    assert said.prompt_variants[0].template_id.startswith("generic@")
    assert said.prompt_variants[0].target_effect_type == "color_correction"


async def test_seeds_follow_from_job_and_variant() -> None:
    """A retry must render the same, two variants must not."""
    first = await prompts(content_analyzed())
    again = await prompts(content_analyzed("evt_other"))
    seeds = [variant.parameters["seed"] for variant in first.prompt_variants]

    assert first == again
    assert len(set(seeds)) == len(seeds)
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds)


def strengths(variants: tuple[PromptVariant, ...]) -> list[float]:
    """Return how strongly each variant asks."""
    return [float(variant.parameters["strength"] or 0) for variant in variants]


async def test_what_is_warm_already_is_warmed_less() -> None:
    """Twice warm is orange."""
    cool = await prompts(content_analyzed(seen=analysis(dominant_style="cool")))
    warm = await prompts(
        content_analyzed(
            seen=analysis(dominant_style="cinematic_warm", detected_effects=("color_grade_warm",))
        )
    )

    for weaker, stronger in zip(
        strengths(warm.prompt_variants), strengths(cool.prompt_variants), strict=True
    ):
        assert 0 < weaker < stronger <= 1
    assert len(set(strengths(cool.prompt_variants))) == 3


async def test_colours_of_the_clip_reach_the_prompt() -> None:
    """The analysis must make a difference to what is asked."""
    seen = analysis(
        scenes=(
            Scene(start_ms=0, end_ms=9, description="d", brightness=0.1, colors=("teal", "blue")),
        )
    )

    said = await prompts(content_analyzed(seen=seen))

    assert "dark footage in teal and blue" in said.prompt_variants[0].prompt_text


async def test_no_wish_leaves_no_trace() -> None:
    """No empty quotes."""
    said = await prompts(content_analyzed(request=effect_request(wish=" \n ")))

    assert all('"' not in variant.prompt_text for variant in said.prompt_variants)


class _FailsForOne:
    """Templates of which one renders in every trial and fails on a real clip."""

    def all(self) -> tuple[Template, ...]:
        """Return the shipped ones."""
        return TEMPLATES.all()

    def render(self, template: Template, variant: Variant, facts: Mapping[str, object]) -> str:
        """Fail for the warm grade."""
        if template.id.startswith("color_correction"):
            raise TemplateFailedError(template.id, "division by zero")
        return TEMPLATES.render(template, variant, facts)


async def test_a_template_that_fails_on_a_clip_gives_way_too() -> None:
    """What no trial found must not stop the job; the note says what to mend."""
    said = await prompts(content_analyzed(), module(templates=_FailsForOne()))

    assert said.fallback_used
    assert said.prompt_variants[0].template_id.startswith("generic@")
    assert said.notes == ("template color_correction.cinematic_warm failed: division by zero",)


async def test_a_variant_for_dark_clips_is_only_offered_to_them() -> None:
    """The analysis chooses the ways to ask, not only their numbers."""
    dark = analysis(scenes=(Scene(start_ms=0, end_ms=9, description="d", brightness=0.1),))
    light = analysis(scenes=(Scene(start_ms=0, end_ms=9, description="d", brightness=0.9),))

    in_the_dark = await prompts(content_analyzed(seen=dark))
    in_the_light = await prompts(content_analyzed(seen=light))

    assert "lamplight" in _names(in_the_dark.prompt_variants)
    assert _names(in_the_light.prompt_variants) == ["balanced", "subtle", "bold"]


def _names(variants: tuple[PromptVariant, ...]) -> list[str]:
    return [each.template_id.rpartition("/")[2] for each in variants]


async def test_a_redelivery_says_the_same_though_the_ranking_has_changed() -> None:
    """A job has one set of words: those that it was given first."""
    history, rankings = MemoryHistory(), FixedRanking()
    heard = [painterly(f"job_{number}", f"evt_{number}") for number in range(40)]
    actor = module(history=history, rankings=rankings)
    before = [await actor.receive(each) for each in heard]

    rankings.ranking = known(strokes=(400, 0.2), canvas=(400, 0.95))
    restarted = module(history=history, rankings=rankings)
    after = [await restarted.receive(each) for each in heard]
    unkept = [await module(rankings=rankings).receive(each) for each in heard]

    assert after == before
    assert unkept != before, "without the history the new ranking would have changed the words"


async def test_who_records_second_says_what_the_first_recorded() -> None:
    """Two workers may hear one message at once; a ranking may come between them."""

    class Raced(MemoryHistory):
        """Finds nothing, as another worker records between the look and the record."""

        async def find(self, tenant_id: TenantId, event_id: EventId) -> None:
            """Find nothing yet."""

    history = Raced()
    heard = [painterly(f"job_{number}", f"evt_{number}") for number in range(40)]
    first = module(history=history)
    second = module(
        history=history, rankings=FixedRanking(known(strokes=(400, 0.2), canvas=(400, 0.95)))
    )

    said = [(await first.receive(each), await second.receive(each)) for each in heard]

    assert all(one == other for one, other in said)


async def test_jobs_are_shared_out_between_templates_for_one_look() -> None:
    """Otherwise there is nothing to compare."""
    actor = module()
    used = [
        (await prompts(painterly(f"job_{n}", f"evt_{n}"), actor)).prompt_variants[0].template_id
        for n in range(60)
    ]

    assert {each.partition("@")[0] for each in used} == set(RIVALS)


async def test_another_tenant_s_event_id_is_not_answered_with_the_first_one_s_words() -> None:
    """Words hold what a user wrote."""
    history = MemoryHistory()
    mine = content_analyzed(request=asking("color_correction", wish="my secret"))
    theirs = ContentAnalyzed(
        event_id=EventId("evt_analyzed"),
        correlation_id=JobId("job_2"),
        tenant_id=TenantId("tnt_2"),
        payload=content_analyzed(request=asking("color_correction", wish="hello")).payload,
    )
    await module(history=history).receive(mine)

    said = await prompts(theirs, module(history=history))

    assert "my secret" not in said.prompt_variants[0].prompt_text


async def test_nothing_is_said_before_it_is_kept() -> None:
    """Said first and lost with the process, it could be said otherwise the next time."""

    class Away(MemoryHistory):
        """Cannot keep anything."""

        async def record(self, asked: object) -> Asked:
            """Be away."""
            raise TryLater("away")

    with pytest.raises(TryLater):
        await module(history=Away()).receive(content_analyzed())
