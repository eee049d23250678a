"""What a person who watches a job sees."""

from __future__ import annotations

from schemas.base import Message, TaskId, UnitInterval


class JobProgressed(Message, frozen=True, kw_only=True):
    """A line of live progress. ``state`` changes are never dropped; percentages may be."""

    stage: str
    """The saga state, or ``render`` for what happens inside a task."""
    detail: str = ""
    percent: UnitInterval | None = None
    task_id: TaskId = TaskId("")
    provider_id: str = ""
    node: str = ""
    final: bool = False
    eta_ms: int | None = None
    """What is left of a render, as far as earlier ones tell."""
    preview: bytes = b""
    """A small JPEG of what is being made, on some lines only."""
