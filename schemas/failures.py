"""Why an attempt failed, in the classes that decide about retry, blame and who pays.

An agent reports a stable code (what happened) and the class it belongs to (what follows from it).
The rules for each class are in ``economics.failures``.
"""

from __future__ import annotations

from enum import StrEnum


class FailureClass(StrEnum):
    """What kind of failure it was."""

    BAD_INPUT = "BAD_INPUT"
    """The clip or a parameter; no host could have done it."""
    WORKFLOW_BUG = "WORKFLOW_BUG"
    """The provider's graph is refused or fails whatever it is given."""
    MISSING_MODEL = "MISSING_MODEL"
    """The host lacks a model file or a node class."""
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    HOST_LOST = "HOST_LOST"
    """The host does not answer, forgot the run, or answers nonsense."""
    THROTTLED = "THROTTLED"
    """The host says that it is asked too often."""
    DEADLINE = "DEADLINE"
    """Nobody waits for it any more."""
    CANCELLED = "CANCELLED"
    OUTPUT_INVALID = "OUTPUT_INVALID"
    """The host says that it is done, and the file is missing or no video."""
    PLATFORM = "PLATFORM"
    """Something of ours: the media store has no room, the agent does not know the provider."""
