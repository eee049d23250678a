"""What Quality Evaluation needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from actors.quality_evaluation.core import Score
from media.quality import Verdict
from schemas.base import ProviderId, TaskId, TenantId


class Judge(Protocol):
    """Compares a result with the clip it was made from."""

    async def judge(
        self, *, source: Path, result: Path, effect_type: str, look: Mapping[str, float]
    ) -> Verdict:
        """Measure two local files; what cannot be measured is an unknown verdict, not an error."""
        ...


class Looks(Protocol):
    """What each provider's effect should do to a clip. Answered from memory."""

    def target_look(self, provider_id: ProviderId) -> Mapping[str, float]:
        """Return the keys of ``media.looks``; empty for an unknown provider."""
        ...


class ScoreHistory(Protocol):
    """Every score ever given. A task is scored once."""

    async def find(self, tenant_id: TenantId, task_id: TaskId) -> Score | None:
        """Return the task's score, ranked as it was first said."""
        ...

    async def add(self, new: Score) -> Score:
        """Rank and store a score; return what is stored, the older one if the task has one.

        Two scores of one job added at once are ranked one after the other.
        """
        ...
