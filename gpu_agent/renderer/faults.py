"""The faults that a test asked for, at the moments of a run and of a request where they strike.

Some are looked up on the worker thread, some on the event loop; no switch is counted by both.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from gpu_agent.renderer.behaviour import At, Behaviour, WrongAnswer
from gpu_agent.renderer.errors import (
    AbandonedRunError,
    InterruptedRunError,
    OutOfMemoryError,
    PlannedFailureError,
)

_LOOK_AGAIN_S: Final = 0.005
# what a process leaves that was killed by SIGKILL
_KILLED_STATUS: Final = 137


def exit_process() -> None:
    """End this process as SIGKILL does: nothing is flushed, closed or said."""
    os._exit(_KILLED_STATUS)


class Faults:
    """Looks at the switches whenever something is about to happen."""

    def __init__(self, behaviour: Behaviour, *, die: Callable[[], None] = exit_process) -> None:
        self.closing = threading.Event()
        """Set when the server stops, so that no pretended hang outlives it."""
        self._behaviour = behaviour
        self._die = die
        self._last_output: dict[str, Any] | None = None
        self._is_foreign = False

    # on the worker thread

    def begin_run(self) -> None:
        """Decide whether this run names the files of the one before."""
        self._is_foreign = self._behaviour.foreign_outputs > 0 and self._last_output is not None
        if self._is_foreign:
            self._behaviour.foreign_outputs -= 1

    def begin(self, class_type: str, stop: threading.Event, *, saves: bool) -> None:
        """Strike before a node's work.

        Raises:
            RendererError, OSError: the node fails.
            InterruptedRunError: somebody stopped the run while the node was stuck or slow.
            AbandonedRunError: the server stopped while the node hung.
        """
        behaviour = self._behaviour
        self.frame(class_type, 0)
        while class_type in behaviour.hung_at:
            if self.closing.wait(_LOOK_AGAIN_S):
                raise AbandonedRunError(class_type)
        if class_type in behaviour.stuck_at and stop.wait():
            raise InterruptedRunError(class_type)
        slow_s = behaviour.slow_nodes.get(class_type)
        if slow_s is not None and stop.wait(slow_s):
            raise InterruptedRunError(class_type)
        if self._is_due("failures", class_type):
            raise PlannedFailureError(f"{class_type} fails because a test asked for it")
        if self._is_due("out_of_memory", class_type):
            raise OutOfMemoryError(free=0, total=behaviour.vram_bytes)
        if saves and behaviour.disk_full_saves > 0:
            behaviour.disk_full_saves -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def frame(self, class_type: str, done: int) -> None:
        """Strike after a frame of a node."""
        if self._behaviour.kill_at == At(class_type=class_type, frame=done):
            # a server that is started again with these switches must not die again
            self._behaviour.kill_at = None
            self._die()

    def saved(self, path: Path) -> None:
        """Damage a file that was just written."""
        behaviour = self._behaviour
        if behaviour.empty_outputs > 0:
            behaviour.empty_outputs -= 1
            os.truncate(path, 0)
        elif behaviour.truncated_outputs > 0:
            behaviour.truncated_outputs -= 1
            os.truncate(path, path.stat().st_size // 2)

    def named(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return what an output node is said to have written."""
        if self._is_foreign and self._last_output is not None:
            return self._last_output
        self._last_output = output
        return output

    def _is_due(self, switch: str, class_type: str) -> bool:
        counts: Mapping[str, int] = getattr(self._behaviour, switch)
        left = counts.get(class_type, 0)
        if left <= 0:
            return False
        # replaced, since the mapping may be a constant of the test
        setattr(self._behaviour, switch, {**counts, class_type: left - 1})
        return True

    # on the event loop

    def answer(self, method: str, path: str) -> WrongAnswer | None:
        """Return what a request is to be answered instead of the truth."""
        answers = self._behaviour.wrong_answers
        for index, answer in enumerate(answers):
            if answer.method not in ("", method) or not path.startswith(answer.path):
                continue
            left = (structs.replace(answer, times=answer.times - 1),) if answer.times > 1 else ()
            self._behaviour.wrong_answers = answers[:index] + left + answers[index + 1 :]
            return answer
        return None

    def is_disk_full(self) -> bool:
        """Say whether an upload finds the disk full."""
        if self._behaviour.disk_full_uploads <= 0:
            return False
        self._behaviour.disk_full_uploads -= 1
        return True
