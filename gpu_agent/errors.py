"""Why a render failed: one stable code for each reason, and a message that names no host path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from schemas.failures import FailureClass
from schemas.tasks import NodeTiming


class Fault(StrEnum):
    """The codes in ``AttemptReport.error_code``."""

    HOST_UNREACHABLE = "HOST_UNREACHABLE"
    HOST_ERROR = "HOST_ERROR"
    HOST_STUCK = "HOST_STUCK"
    HOST_DISK_FULL = "HOST_DISK_FULL"
    THROTTLED = "THROTTLED"
    GRAPH_REFUSED = "GRAPH_REFUSED"
    MISSING_MODEL = "MISSING_MODEL"
    RENDER_ERROR = "RENDER_ERROR"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    LOST = "LOST"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    NO_OUTPUT = "NO_OUTPUT"
    BROKEN_OUTPUT = "BROKEN_OUTPUT"
    FOREIGN_OUTPUT = "FOREIGN_OUTPUT"
    OUTPUT_NOT_STORED = "OUTPUT_NOT_STORED"
    AGENT_DISK_FULL = "AGENT_DISK_FULL"
    INPUT_MISSING = "INPUT_MISSING"
    INPUT_UNREADABLE = "INPUT_UNREADABLE"
    INPUT_TOO_LARGE = "INPUT_TOO_LARGE"
    PROVIDER_UNKNOWN = "PROVIDER_UNKNOWN"
    PARAMETERS_REFUSED = "PARAMETERS_REFUSED"


CLASSES: Final[Mapping[Fault, FailureClass]] = {
    Fault.HOST_UNREACHABLE: FailureClass.HOST_LOST,
    Fault.HOST_ERROR: FailureClass.HOST_LOST,
    Fault.HOST_STUCK: FailureClass.HOST_LOST,
    Fault.HOST_DISK_FULL: FailureClass.HOST_LOST,
    Fault.THROTTLED: FailureClass.THROTTLED,
    Fault.GRAPH_REFUSED: FailureClass.WORKFLOW_BUG,
    Fault.MISSING_MODEL: FailureClass.MISSING_MODEL,
    Fault.RENDER_ERROR: FailureClass.WORKFLOW_BUG,
    Fault.OUT_OF_MEMORY: FailureClass.OUT_OF_MEMORY,
    Fault.LOST: FailureClass.HOST_LOST,
    Fault.TIMED_OUT: FailureClass.DEADLINE,
    Fault.CANCELLED: FailureClass.CANCELLED,
    Fault.EXPIRED: FailureClass.DEADLINE,
    Fault.NO_OUTPUT: FailureClass.OUTPUT_INVALID,
    Fault.BROKEN_OUTPUT: FailureClass.OUTPUT_INVALID,
    Fault.FOREIGN_OUTPUT: FailureClass.OUTPUT_INVALID,
    Fault.OUTPUT_NOT_STORED: FailureClass.PLATFORM,
    Fault.AGENT_DISK_FULL: FailureClass.PLATFORM,
    Fault.INPUT_MISSING: FailureClass.PLATFORM,
    Fault.INPUT_UNREADABLE: FailureClass.BAD_INPUT,
    Fault.INPUT_TOO_LARGE: FailureClass.BAD_INPUT,
    Fault.PROVIDER_UNKNOWN: FailureClass.PLATFORM,
    Fault.PARAMETERS_REFUSED: FailureClass.BAD_INPUT,
}
"""What follows from each: ``economics.failures`` has a rule for each class."""

FINAL: Final = frozenset(
    {
        Fault.GRAPH_REFUSED,
        Fault.CANCELLED,
        Fault.EXPIRED,
        Fault.INPUT_MISSING,
        Fault.INPUT_UNREADABLE,
        Fault.INPUT_TOO_LARGE,
        Fault.PARAMETERS_REFUSED,
    }
)
"""Faults that every other try, on every other host, would have too."""

_PLACE: Final = re.compile(r"(?:\b[A-Za-z]:)?[/\\][^\s'\"]*")
"""A path, absolute or the rest of one."""


class RenderFailedError(Exception):
    """A render did not give a usable file. What it used up to then is metered all the same."""

    def __init__(
        self,
        code: Fault,
        why: str,
        *,
        gpu_seconds: float = 0.0,
        queue_wait_ms: int = 0,
        nodes: tuple[NodeTiming, ...] = (),
        retry_after_s: float | None = None,
        stuck: bool = False,
        adopted: bool = False,
    ) -> None:
        super().__init__(why)
        self.code = code
        self.why = without_places(why)
        self.gpu_seconds = gpu_seconds
        self.queue_wait_ms = queue_wait_ms
        self.nodes = nodes
        self.retry_after_s = retry_after_s
        """How long the host wants to be left alone."""
        self.stuck = stuck
        """Whether the host still works on the prompt although it was told to stop."""
        self.adopted = adopted

    @property
    def retriable(self) -> bool:
        """Whether another try may end differently."""
        return self.code not in FINAL

    @property
    def failure_class(self) -> FailureClass:
        """What kind of failure it is."""
        return CLASSES[self.code]


class ParametersRefusedError(RenderFailedError):
    """A task asks for what its provider does not take."""

    def __init__(self, why: str) -> None:
        super().__init__(Fault.PARAMETERS_REFUSED, why)


class UnsafeHostError(Exception):
    """The ComfyUI address is not one an agent may drive."""


def without_places(text: str) -> str:
    """Return a message without what looks like a path of some machine.

    >>> without_places("no file at /srv/comfy/input/a.mp4")
    'no file at …'
    """
    return _PLACE.sub("…", text)
