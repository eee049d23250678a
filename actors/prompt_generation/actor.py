"""The shell of Prompt Generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from actors.prompt_generation import core, history, parameters, ranking, rewriting
from actors.prompt_generation.core import Template
from actors.prompt_generation.errors import RewriterFailedError, TemplateFailedError
from actors.prompt_generation.history import Asked
from actors.prompt_generation.ports import PromptHistory, Rankings, Rewriter, Templates
from actors.prompt_generation.words import plain, quoting
from actors.runtime.contract import Clock, Said
from actors.runtime.follow import follow
from schemas.base import JobId
from schemas.events import (
    BestResultSelected,
    ContentAnalyzed,
    JobEnded,
    PromptsGenerated,
    QualityEvaluated,
    TestBatchDispatched,
)
from schemas.video import AnalyzedContent, GeneratedPrompts, PromptVariant

MAX_NOTE: Final = 300

Heard = ContentAnalyzed | TestBatchDispatched | QualityEvaluated | BestResultSelected | JobEnded


class PromptGeneration:
    """Step 3: says how to ask for the effect, in two to four ways; learns which words win.

    Hears:    ContentAnalyzed; TestBatchDispatched, QualityEvaluated, BestResultSelected and
              JobEnded, which tell what became of the words
    Says:     PromptsGenerated
    Owns:     the prompt templates, versioned with the code, and the history of what was asked
    Repeats:  the same words and seeds, from the history, whatever the ranking or the rewriter
              would say now
    """

    def __init__(
        self,
        *,
        templates: Templates,
        history: PromptHistory,
        rankings: Rankings,
        rewriter: Rewriter,
        clock: Clock,
    ) -> None:
        self._templates = templates
        self._history = history
        self._rankings = rankings
        self._rewriter = rewriter
        self._clock = clock

    async def receive(self, heard: Heard) -> Sequence[Said]:
        """Write the prompt variants, or learn what became of them."""
        match heard:
            case ContentAnalyzed():
                return await self._ask(heard)
            case TestBatchDispatched():
                asked = await self._history.of_job(heard.tenant_id, heard.correlation_id)
                await self._history.tell(history.tried(heard, asked))
            case QualityEvaluated():
                await self._history.tell([history.scored(heard)])
            case BestResultSelected():
                await self._history.tell(history.selected(heard))
            case JobEnded():
                await self._history.end(history.ended(heard))
        return []

    async def _ask(self, heard: ContentAnalyzed) -> Sequence[Said]:
        asked = await self._history.find(heard.tenant_id, heard.event_id)
        if asked is None:
            # kept before it is said: what is said once is what is said again
            asked = await self._history.record(await self._written(heard))
        header = follow(heard, PromptsGenerated, at=self._clock.now())
        return [PromptsGenerated(**header, payload=asked.prompts)]

    async def _written(self, heard: ContentAnalyzed) -> Asked:
        """Write the prompts; a template that fails gives way to the generic one."""
        content, job_id = heard.payload, heard.correlation_id
        request = core.request_of(content)
        choice = core.choose(self._templates.all(), request)
        template = ranking.assigned(choice.templates, job_id, self._rankings.current())
        fallback = choice.fallback
        notes: list[str] = []
        try:
            words = self._words(template, content)
        except TemplateFailedError as error:
            template, fallback = core.generic(self._templates.all()), True
            words = self._words(template, content)
            notes.append(_note(error))
        rewritten: tuple[str, ...] = ()
        try:
            rewritten = await self._rewritten(template, content, words)
        except RewriterFailedError as error:
            notes.append(_note(error))
        variants = self._variants(template, content, rewritten or words, job_id)
        prompts = GeneratedPrompts(
            video_id=content.video_id,
            prompt_variants=tuple(
                structs.replace(each, rewritten_by=self._rewriter.name if rewritten else "")
                for each in variants
            ),
            fallback_used=fallback,
            notes=tuple(notes),
        )
        return Asked(
            event_id=heard.event_id,
            tenant_id=heard.tenant_id,
            job_id=job_id,
            template_id=template.id,
            version=template.version,
            effect_type=request.effect_type,
            prompts=prompts,
            at=self._clock.now(),
            rewriter=self._rewriter.name if rewritten else "",
        )

    def _words(self, template: Template, content: AnalyzedContent) -> tuple[str, ...]:
        facts = core.facts(template, content)
        fitting = core.variants_for(template, parameters.signs(content.analysis))
        return tuple(self._templates.render(template, each, facts) for each in fitting)

    async def _rewritten(
        self, template: Template, content: AnalyzedContent, words: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Return the rewriter's words; none from nobody, and none for words that are drawn."""
        if not self._rewriter.name or template.verbatim:
            return ()
        request = core.request_of(content)
        order = rewriting.brief(
            request.effect_type, words, core.facts(template, content), request.wish
        )
        new = await self._rewriter.rewrite(order)
        return rewriting.accepted(words, new, budget=template.max_tokens)

    def _variants(
        self,
        template: Template,
        content: AnalyzedContent,
        words: tuple[str, ...],
        job_id: JobId,
    ) -> tuple[PromptVariant, ...]:
        request = core.request_of(content)
        wish = "" if template.verbatim else plain(request.wish)
        fitting = core.variants_for(template, parameters.signs(content.analysis))
        return tuple(
            PromptVariant(
                prompt_text=(
                    said if template.verbatim else quoting(said, wish, budget=template.max_tokens)
                ),
                target_effect_type=request.effect_type,
                negative_prompt=template.negative,
                template_id=core.template_id(template, variant),
                parameters=_numbers(template, variant, content, job_id),
            )
            for variant, said in zip(fitting, words, strict=True)
        )


def _note(error: Exception) -> str:
    return str(error)[:MAX_NOTE]


def _numbers(
    template: Template, variant: core.Variant, content: AnalyzedContent, job_id: JobId
) -> dict[str, str | int | float | bool | None]:
    chosen = core.numbers(template, variant, content.analysis)
    return {
        "strength": chosen.strength,
        "seed": parameters.seed(job_id, template.id, variant.name),
        "steps": chosen.steps,
        "cfg_scale": chosen.cfg_scale,
    }
