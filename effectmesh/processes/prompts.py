"""What Prompt Generation does beside its messages: keeps its ranking, and its rewriter's line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import asyncpg

from actors.prompt_generation.actor import PromptGeneration
from actors.prompt_generation.files import TemplateFiles
from actors.prompt_generation.keeper import RankingKeeper
from actors.prompt_generation.postgres import PostgresHistory
from actors.prompt_generation.rewriters import DEADLINE_S, ChatRewriter, NoRewriter
from actors.runtime.bus import Bus
from actors.runtime.contract import Clock
from actors.runtime.logs import ActionLog
from effectmesh.processes.model_line import ModelLine
from effectmesh.settings import Settings
from schemas.base import Module
from schemas.logs import EconomicImpact, Observed, OperatorAction, Runbook


class PromptCare:
    """The module and the parts that run beside it."""

    def __init__(self, settings: Settings, *, bus: Bus, pool: asyncpg.Pool, clock: Clock) -> None:
        """Build them.

        Raises:
            TemplatesMissingError: the generic template cannot be used.
            SettingError: a rewriter is named by half.
        """
        self._log = ActionLog(module=Module.PROMPT_GENERATION, clock=clock, bus=bus)
        self._line: ModelLine | None = None
        templates = TemplateFiles()
        for broken in templates.broken:
            self._skipped(broken.file, broken.why)
        history = PostgresHistory(pool=pool)
        self._keeper = RankingKeeper(history=history, clock=clock)
        self.module = PromptGeneration(
            templates=templates,
            history=history,
            rankings=self._keeper,
            rewriter=self._rewriter(settings),
            clock=clock,
        )

    def parts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield each part's name and what runs it."""
        yield "ranking of prompts", self._keeper.run
        yield "log of prompts", self._log.run
        if self._line is not None:
            yield from self._line.parts()

    def _rewriter(self, settings: Settings) -> ChatRewriter | NoRewriter:
        if not settings.rewriter_url:
            return NoRewriter()
        self._line = line = ModelLine(
            "rewriter",
            url=settings.rewriter_url,
            model=settings.rewriter_model,
            key=settings.rewriter_key,
            key_file=settings.rewriter_key_file,
            deadline_s=DEADLINE_S,
        )
        return ChatRewriter(
            client=line.client, base_url=line.url, model=line.model, api_key=line.key
        )

    def _skipped(self, file: str, why: str) -> None:
        self._log.warn(
            Observed.PART_GAVE_UP,
            impact=EconomicImpact(
                type="quality",
                description="jobs of this effect are asked for with generic words, and win less",
            ),
            action=OperatorAction(
                classification="operator_monitor",
                urgency="today",
                suggested_runbook_url=Runbook.MODULE_FAILING,
                suggested_action=f"mend the template, then: effectmesh prompt check ({file})",
                auto_action_taken="the template is skipped",
            ),
            details={"template": file, "why": why[:500]},
        )
