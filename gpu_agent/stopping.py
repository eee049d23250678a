"""Making a prompt stop. A host looks at such a wish when it likes, so it is pressed harder in turn.

First the prompt is cancelled by its own route, which cannot hit another one. When that shows no
effect the oldest route is used, which some nodes and versions hear sooner, and at last the host is
told to let go of its memory, which it does as soon as it hears anything. A prompt that then still
runs cannot be stopped from outside: its host is stuck, and only whoever runs it can help.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import anyio

from gpu_agent.comfy import ComfyHost
from gpu_agent.errors import Fault, RenderFailedError

STEPS: Final = 3
"""The grace is divided evenly among cancel, interrupt and free."""


class Stopping:
    """What was done up to now to stop one prompt."""

    def __init__(self, *, host: ComfyHost, prompt_id: str) -> None:
        self._host = host
        self._prompt_id = prompt_id
        self._pressed = 0
        self.why: Fault | None = None
        """Why it is to stop; ``None`` while it is not."""
        self.next_at = float("inf")
        """When there is more to do, or nothing more can be done."""

    @property
    def over(self) -> bool:
        """Whether everything was tried and waited for."""
        return self._pressed >= STEPS and anyio.current_time() >= self.next_at

    async def press(self, why: Fault) -> None:
        """Do the next thing when it is time for it. The first reason stays."""
        self.why = self.why or why
        if self._pressed >= STEPS or (self._pressed and anyio.current_time() < self.next_at):
            return
        self._pressed += 1
        if self._pressed == 1:
            await self._host.cancel(self._prompt_id)
        elif self._pressed == 2:
            await self._host.interrupt(self._prompt_id)
        else:
            with suppress(RenderFailedError):
                await self._host.free()
        self.next_at = anyio.current_time() + self._host.limits.stop_grace_s / STEPS
