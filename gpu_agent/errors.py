"""Why a render failed: one stable code for each reason, and a message that names no host path."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from schemas.tasks import NodeTiming


class Fault(StrEnum):
    """The codes in ``AttemptReport.error_code``."""

    HOST_UNREACHABLE = "HOST_UNREACHABLE"
    HOST_ERROR = "HOST_ERROR"
    GRAPH_REFUSED = "GRAPH_REFUSED"
    RENDER_ERROR = "RENDER_ERROR"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    LOST = "LOST"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    NO_OUTPUT = "NO_OUTPUT"
    BROKEN_OUTPUT = "BROKEN_OUTPUT"
    OUTPUT_NOT_STORED = "OUTPUT_NOT_STORED"
    INPUT_MISSING = "INPUT_MISSING"
    INPUT_UNREADABLE = "INPUT_UNREADABLE"
    INPUT_TOO_LARGE = "INPUT_TOO_LARGE"
    PROVIDER_UNKNOWN = "PROVIDER_UNKNOWN"
    PARAMETERS_REFUSED = "PARAMETERS_REFUSED"


RETRIABLE: Final = frozenset(
    {
        Fault.HOST_UNREACHABLE,
        Fault.HOST_ERROR,
        Fault.RENDER_ERROR,
        Fault.OUT_OF_MEMORY,
        Fault.LOST,
        Fault.TIMED_OUT,
        Fault.NO_OUTPUT,
        Fault.BROKEN_OUTPUT,
        Fault.OUTPUT_NOT_STORED,
        Fault.PROVIDER_UNKNOWN,
    }
)
"""Faults that another try, or another host, may not have."""


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
    ) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.gpu_seconds = gpu_seconds
        self.queue_wait_ms = queue_wait_ms
        self.nodes = nodes

    @property
    def retriable(self) -> bool:
        """Whether another try may end differently."""
        return self.code in RETRIABLE


class ParametersRefusedError(RenderFailedError):
    """A task asks for what its provider does not take."""

    def __init__(self, why: str) -> None:
        super().__init__(Fault.PARAMETERS_REFUSED, why)
