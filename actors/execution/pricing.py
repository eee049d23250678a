"""The price of a report, by the economics package's rate card."""

from __future__ import annotations

from actors.execution.core import AttemptCost
from economics.cost import RATES, RateCard, cost_of
from schemas.tasks import AttemptReport


class RatedPricer:
    """``Pricer`` over one rate card."""

    def __init__(self, *, rates: RateCard = RATES) -> None:
        self._rates = rates
        known = rates.nanousd_per_gpu_second
        self._dearest = max(known, key=lambda name: known[name])

    def price(self, report: AttemptReport) -> AttemptCost:
        """Return what an attempt cost, whether it succeeded or not.

        A GPU the card does not know is priced as the dearest one: a new kind of host must not
        look free, and a report must not be refused because the card is behind the fleet.
        """
        known = report.gpu_type in self._rates.nanousd_per_gpu_second
        cost = cost_of(
            gpu_type=report.gpu_type if known else self._dearest,
            gpu_seconds=report.gpu_seconds,
            output_bytes=report.output_bytes,
            rates=self._rates,
            api_calls=1 if report.output_bytes else 0,
        )
        return AttemptCost(cost_microtokens=cost.cost_microtokens, cost_microusd=cost.cost_microusd)
