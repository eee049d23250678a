"""Scores in memory, for the tests and for a look around without a database."""

from __future__ import annotations

from actors.quality_evaluation import core
from actors.quality_evaluation.core import Score
from schemas.base import TaskId, TenantId


class MemoryScores:
    """A ``ScoreHistory`` that ends with the process."""

    def __init__(self) -> None:
        self._scores: dict[TaskId, Score] = {}

    async def find(self, tenant_id: TenantId, task_id: TaskId) -> Score | None:
        """Return the task's score, ranked as it was first said."""
        found = self._scores.get(task_id)
        return found if found is not None and found.tenant_id == tenant_id else None

    async def add(self, new: Score) -> Score:
        """Rank and store a score; return what is stored, the older one if the task has one."""
        if new.task_id in self._scores:
            return self._scores[new.task_id]
        earlier = [
            known
            for known in self._scores.values()
            if (known.tenant_id, known.job_id) == (new.tenant_id, new.job_id)
        ]
        self._scores[new.task_id] = core.ranked(new, earlier)
        return self._scores[new.task_id]
