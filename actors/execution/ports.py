"""What execution needs: somebody who prices a report."""

from __future__ import annotations

from typing import Protocol

from actors.execution.core import AttemptCost
from schemas.tasks import AttemptReport


class Pricer(Protocol):
    """Prices what an agent metered. The same report always costs the same."""

    def price(self, report: AttemptReport) -> AttemptCost:
        """Return what an attempt cost, whether it succeeded or not."""
        ...
