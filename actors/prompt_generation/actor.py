"""The shell of Prompt Generation."""

from __future__ import annotations

from collections.abc import Sequence

from actors.prompt_generation import core
from actors.prompt_generation.errors import TemplateFailedError
from actors.prompt_generation.ports import Templates
from actors.runtime.contract import Clock, Said
from actors.runtime.follow import follow
from schemas.base import JobId
from schemas.events import ContentAnalyzed, PromptsGenerated
from schemas.video import AnalyzedContent, EffectRequest, GeneratedPrompts, PromptVariant


class PromptGeneration:
    """Step 3: says how to ask for the effect, in two or three ways.

    Hears:    ContentAnalyzed
    Says:     PromptsGenerated
    Owns:     the prompt templates, versioned with the code
    Repeats:  harmless; words and seeds follow from the message alone
    """

    def __init__(self, *, templates: Templates, clock: Clock) -> None:
        self._templates = templates
        self._clock = clock

    async def receive(self, heard: ContentAnalyzed) -> Sequence[Said]:
        """Write the prompt variants; a template that fails gives way to the generic one."""
        content = heard.payload
        request = core.request_of(content)
        choice = core.choose(self._templates.all(), request)
        fallback = choice.fallback
        try:
            variants = self._variants(choice.template, content, request, heard.correlation_id)
        except TemplateFailedError:
            spare = core.generic(self._templates.all())
            variants = self._variants(spare, content, request, heard.correlation_id)
            fallback = True
        header = follow(heard, PromptsGenerated, at=self._clock.now())
        prompts = GeneratedPrompts(
            video_id=content.video_id, prompt_variants=variants, fallback_used=fallback
        )
        return [PromptsGenerated(**header, payload=prompts)]

    def _variants(
        self,
        template: core.Template,
        content: AnalyzedContent,
        request: EffectRequest,
        job_id: JobId,
    ) -> tuple[PromptVariant, ...]:
        facts = core.facts(content, request)
        return tuple(
            PromptVariant(
                prompt_text=self._templates.render(template, variant, facts),
                target_effect_type=request.effect_type,
                negative_prompt=template.negative,
                template_id=core.template_id(template, variant),
                parameters={
                    "strength": core.strength(template, variant, content.analysis),
                    "seed": core.seed(job_id, template.id, variant.name),
                    "steps": variant.steps,
                    "cfg_scale": variant.cfg_scale,
                },
            )
            for variant in template.variant[: core.MAX_VARIANTS]
        )
