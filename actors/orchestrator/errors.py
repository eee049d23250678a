"""What can go wrong in the saga."""

from __future__ import annotations

from schemas.base import JobId


class RouteNeededError(ValueError):
    """A job that is ready for its test batch was decided on without a route."""

    def __init__(self, job_id: JobId) -> None:
        super().__init__(f"no route was given for {job_id}")
        self.job_id = job_id
