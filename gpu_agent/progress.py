"""Turns how far a render is into lines of progress, a bounded number for each render."""

from __future__ import annotations

import secrets
from typing import Final

import anyio

from actors.runtime.contract import Clock, Progress
from actors.runtime.follow import follow
from gpu_agent.timing import Advance
from schemas.commands import RunAttempt
from schemas.progress import JobProgressed

STEP: Final = 0.05
"""A line for each new node, and for each such share in between."""
PREVIEW_BYTES: Final = 32 * 1024
"""A larger picture is left out: it goes to everybody who watches."""
PREVIEW_S: Final = 2.0
"""The shortest time between two pictures."""
PREVIEWS: Final = 100
"""Pictures of one render."""


class Teller:
    """Says how far one attempt is."""

    def __init__(self, heard: RunAttempt, *, progress: Progress, clock: Clock) -> None:
        self._heard = heard
        self._progress = progress
        self._clock = clock
        # whoever takes the attempt up after a crash counts from one again
        self._begun = secrets.token_hex(4)
        self._lines = 0
        self._node = ""
        self._detail = ""
        self._percent = 0.0
        self._eta_ms: int | None = None
        self._pictures = 0
        self._shown_at = float("-inf")

    def tell(self, advance: Advance) -> None:
        """Say a line when a new node runs or a step is done; never go back."""
        percent = max(advance.percent, self._percent)
        if advance.node_id == self._node and percent - self._percent < STEP:
            return
        self._node, self._detail = advance.node_id, advance.class_type
        self._percent, self._eta_ms = percent, advance.eta_ms
        self._say(b"")

    def show(self, picture: bytes) -> None:
        """Pass a picture on, when it is small and the last one was a while ago."""
        now = anyio.current_time()
        too_soon = now - self._shown_at < PREVIEW_S or self._pictures >= PREVIEWS
        if too_soon or len(picture) > PREVIEW_BYTES:
            return
        self._shown_at = now
        self._pictures += 1
        self._say(picture)

    def _say(self, picture: bytes) -> None:
        self._lines += 1
        task, attempt = self._heard.payload.task, self._heard.payload.attempt
        part = f"{attempt}:{self._begun}:{self._lines}"
        header = follow(self._heard, JobProgressed, at=self._clock.now(), part=part)
        self._progress.say(
            JobProgressed(
                **header,
                stage="render",
                detail=self._detail,
                percent=self._percent,
                task_id=task.task_id,
                provider_id=task.provider_id,
                node=self._node,
                eta_ms=self._eta_ms,
                preview=picture,
            )
        )
