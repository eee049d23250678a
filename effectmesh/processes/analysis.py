"""Content Analysis with what it sees by: a model, a memory, and perhaps somebody who describes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import asyncpg

from actors.content_analysis.actor import ContentAnalysis
from actors.content_analysis.captioner import ChatCaptioner
from actors.content_analysis.measuring import MeasuringAnalyzer
from actors.content_analysis.postgres import PostgresAnalyses
from actors.runtime.contract import Clock
from effectmesh.processes.model_line import ModelLine
from effectmesh.settings import Settings
from media.store import MediaStore
from media.tag_model import find_tag_model

DEADLINE_S: Final = 20.0


class AnalysisCare:
    """The module and what runs beside it."""

    def __init__(
        self, settings: Settings, *, store: MediaStore, pool: asyncpg.Pool, clock: Clock
    ) -> None:
        """Build them.

        Raises:
            SettingError: a captioner is named by half.
        """
        self._line: ModelLine | None = None
        self.module = ContentAnalysis(
            store=store,
            analyzer=MeasuringAnalyzer(model=find_tag_model()),
            clock=clock,
            cache=PostgresAnalyses(pool=pool),
            captioner=self._captioner(settings),
        )

    def parts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield each part's name and what runs it."""
        if self._line is not None:
            yield from self._line.parts()

    def _captioner(self, settings: Settings) -> ChatCaptioner | None:
        if not settings.captioner_url:
            return None
        self._line = line = ModelLine(
            "captioner",
            url=settings.captioner_url,
            model=settings.captioner_model,
            key=settings.captioner_key,
            key_file=settings.captioner_key_file,
            deadline_s=DEADLINE_S,
        )
        return ChatCaptioner(
            client=line.client,
            base_url=line.url,
            model=line.model,
            api_key=line.key,
            within_s=DEADLINE_S,
        )
