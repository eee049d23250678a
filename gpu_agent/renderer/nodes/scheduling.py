"""Encoders share the machine like everybody else.

SVT-AV1 makes its threads real-time, and for ever the thread that opens it too, wherever it may, as
under root in a container. Whatever then runs on these threads, or is started by them, starves
everything else on the machine: a broker beside it answered nobody for five seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TASKS: Final = Path("/proc/self/task")


@contextmanager
def same_scheduling() -> Iterator[None]:
    """Give this thread, and those that are started meanwhile, the scheduling it came with."""
    if sys.platform != "linux":
        yield
        return
    policy, before = os.sched_getscheduler(0), _tasks()
    parameters = os.sched_getparam(0)
    try:
        yield
    finally:
        for task in (0, *(_tasks() - before)):
            try:
                if os.sched_getscheduler(task) != policy:
                    os.sched_setscheduler(task, policy, parameters)
            except ProcessLookupError:
                continue  # it has ended


def _tasks() -> set[int]:
    return {int(each.name) for each in _TASKS.iterdir()} if _TASKS.is_dir() else set()
