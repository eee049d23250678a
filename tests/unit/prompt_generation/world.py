"""Prompt Generation with everything around it made of fakes."""

from __future__ import annotations

from collections.abc import Sequence

from actors.prompt_generation.actor import PromptGeneration
from actors.prompt_generation.core import Template
from actors.prompt_generation.errors import RewriterFailedError
from actors.prompt_generation.files import TemplateFiles
from actors.prompt_generation.memory import MemoryHistory
from actors.prompt_generation.ports import PromptHistory, Rewriter, Templates
from actors.prompt_generation.ranking import NOTHING_KNOWN, Ranking, Standing, ranked
from actors.prompt_generation.rewriters import NoRewriter
from actors.prompt_generation.rewriting import Brief
from actors.runtime.contract import FrozenClock
from schemas.base import MICRO, JobId
from schemas.events import ContentAnalyzed, PromptsGenerated
from schemas.video import EffectRequest, GeneratedPrompts
from tests.builders import content_analyzed

TEMPLATES = TemplateFiles()
RIVALS = ("style_transfer.painterly", "style_transfer.painterly.canvas")
"""The two shipped templates for one look."""


class FixedRanking:
    """A ranking that is what a test says, until it says otherwise."""

    def __init__(self, ranking: Ranking = NOTHING_KNOWN) -> None:
        self.ranking = ranking

    def current(self) -> Ranking:
        """Return it."""
        return self.ranking


class ScriptedRewriter:
    """Says one scripted thing after another, and keeps what it was told."""

    name = "scripted-1"

    def __init__(self, *answers: Sequence[str] | RewriterFailedError) -> None:
        self._answers = list(answers)
        self.told: list[Brief] = []

    async def rewrite(self, brief: Brief) -> tuple[str, ...]:
        """Say the next thing."""
        self.told.append(brief)
        answer = self._answers.pop(0)
        if isinstance(answer, RewriterFailedError):
            raise answer
        return tuple(answer)


def module(
    *,
    templates: Templates = TEMPLATES,
    history: PromptHistory | None = None,
    rankings: FixedRanking | None = None,
    rewriter: Rewriter | None = None,
) -> PromptGeneration:
    """Return the module."""
    return PromptGeneration(
        templates=templates,
        history=history or MemoryHistory(),
        rankings=rankings or FixedRanking(),
        rewriter=rewriter or NoRewriter(),
        clock=FrozenClock(),
    )


async def prompts(
    heard: ContentAnalyzed, actor: PromptGeneration | None = None
) -> GeneratedPrompts:
    """Return what is said about an analysis."""
    [said] = await (actor or module()).receive(heard)
    assert isinstance(said, PromptsGenerated)
    return said.payload


def asking(effect_type: str, subtype: str = "", wish: str = "") -> EffectRequest:
    """Return a request."""
    return EffectRequest(effect_type=effect_type, effect_subtype=subtype, wish=wish)


def painterly(job: str, event: str = "evt_analyzed") -> ContentAnalyzed:
    """Return an order for the look that two templates compete for."""
    known = content_analyzed(event, request=asking("style_transfer", "painterly"))
    return ContentAnalyzed(
        event_id=known.event_id,
        timestamp=known.timestamp,
        correlation_id=JobId(job),
        tenant_id=known.tenant_id,
        payload=known.payload,
    )


def template(template_id: str) -> Template:
    """Return a shipped template."""
    return next(each for each in TEMPLATES.all() if each.id == template_id)


def standing(template_id: str, *, jobs: int, worth: float, **changes: object) -> Standing:
    """Return a template whose every job was measured surely and won the same."""
    known: dict[str, object] = {
        "effect_type": "style_transfer",
        "template_id": template_id,
        "version": 1,
        "jobs": jobs,
        "weight_micro": jobs * MICRO,
        "worth_micro": round(jobs * worth * MICRO),
    }
    return Standing(**(known | changes))  # type: ignore[arg-type]


def known(**worths: tuple[int, float]) -> Ranking:
    """Return the ranking after ``strokes`` and ``canvas`` had so many jobs of such a worth."""
    names = dict(zip(("strokes", "canvas"), RIVALS, strict=True))
    return ranked(
        standing(names[name], jobs=jobs, worth=worth) for name, (jobs, worth) in worths.items()
    )
