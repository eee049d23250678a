"""What can go wrong outside of a job."""

from __future__ import annotations


class ScalingFailedError(Exception):
    """Whoever starts hosts refused or did not answer."""

    def __init__(self, group: str, why: str) -> None:
        super().__init__(f"scaling group {group!r} was not changed: {why}")
        self.group = group
