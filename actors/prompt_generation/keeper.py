"""Beside the messages: reads the ranking anew every minute, and forgets what is too old."""

from __future__ import annotations

from typing import Final

import anyio

from actors.prompt_generation.history import KEEP_OUTCOMES, KEEP_WORDS
from actors.prompt_generation.ports import PromptHistory
from actors.prompt_generation.ranking import NOTHING_KNOWN, Ranking, ranked
from actors.runtime.contract import Clock

REFRESH_S: Final = 60.0
PATIENCE_S: Final = 20.0
"""How long one look may take; the ranking stays as it was."""
PRUNE_LIMIT: Final = 5_000
"""Rows of each table that are forgotten at a time."""


class RankingKeeper:
    """Holds the newest ranking. It may be a minute old; no job waits for a newer one."""

    def __init__(
        self, *, history: PromptHistory, clock: Clock, refresh_s: float = REFRESH_S
    ) -> None:
        self._history = history
        self._clock = clock
        self._refresh_s = refresh_s
        self._ranking = NOTHING_KNOWN

    def current(self) -> Ranking:
        """Return the newest ranking that is here."""
        return self._ranking

    async def run(self) -> None:
        """Keep the ranking until cancelled. What fails is tried again by who runs this."""
        while True:
            with anyio.move_on_after(PATIENCE_S):
                await self.refresh()
            await anyio.sleep(self._refresh_s)

    async def refresh(self) -> None:
        """Read once what templates have won, and forget what is too old."""
        now = self._clock.now()
        self._ranking = ranked(await self._history.standings(now - KEEP_OUTCOMES))
        await self._history.prune(
            asked=now - KEEP_WORDS, outcomes=now - KEEP_OUTCOMES, limit=PRUNE_LIMIT
        )
