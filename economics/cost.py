"""What a render cost: GPU seconds, API calls, storage, bandwidth, at the rates of one card.

Rates are integers of a billionth of a dollar, because a GPU second costs some hundred millionths.
Each of the four parts is rounded once, to whole micro-dollars, and the cost is their sum: so the
parts a person sees always add up to the total. Tokens follow without another rounding.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from economics.errors import InvalidUsageError, UnknownGpuTypeError
from economics.rounding import divide, whole
from schemas.base import MICRO, MicroTokens, MicroUsd
from schemas.routing import CostModel

_NANO_PER_MICRO: Final = 1_000
_GIGABYTE: Final = 10**9
_BYTES_PER_FRAME: Final = 5_000
"""Of encoded output, when nothing has been measured yet."""


class RateCard(Struct, frozen=True, kw_only=True):
    """What the platform pays, at list price. A booking keeps the version it was made at."""

    version: str
    nanousd_per_gpu_second: dict[str, int]
    nanousd_per_api_call: int
    nanousd_per_gb_stored: int
    """One month of one gigabyte."""
    nanousd_per_gb_moved: int
    """One gigabyte from the GPU host to the store."""
    microusd_per_token: int = 100


RATES: Final = RateCard(
    version="2026-03",
    nanousd_per_gpu_second={
        "T4": 146_111,  # g4dn.xlarge, 0.526 USD/h
        "L4": 223_556,  # g6.xlarge, 0.8048 USD/h
        "A10G": 279_444,  # g5.xlarge, 1.006 USD/h
        "A100": 1_138_056,  # one of eight in p4d.24xlarge, 4.097 USD/h
        "H100": 1_911_111,  # one of eight in p5.48xlarge, 6.88 USD/h
        "cpu": 23_611,  # c7i.large, 0.085 USD/h: the embedded renderer's kind of machine
    },
    nanousd_per_api_call=5_000,  # one stored object: 5 USD a million
    nanousd_per_gb_stored=23_000_000,
    nanousd_per_gb_moved=10_000_000,
)
"""List prices of the public clouds."""


class CostBreakdown(Struct, frozen=True, kw_only=True):
    """The four costs of one render, each in whole micro-dollars."""

    gpu_microusd: MicroUsd
    api_microusd: MicroUsd
    storage_microusd: MicroUsd
    bandwidth_microusd: MicroUsd
    microusd_per_token: int
    rates_version: str

    @property
    def cost_microusd(self) -> MicroUsd:
        """The sum of the four parts."""
        return (
            self.gpu_microusd + self.api_microusd + self.storage_microusd + self.bandwidth_microusd
        )

    @property
    def cost_microtokens(self) -> MicroTokens:
        """The same cost in tokens."""
        return divide(self.cost_microusd * MICRO, self.microusd_per_token)


def cost_of(
    *,
    gpu_type: str,
    gpu_seconds: float,
    output_bytes: int,
    rates: RateCard = RATES,
    api_calls: int = 1,
) -> CostBreakdown:
    """Return what a render cost.

    >>> cost_of(gpu_type="A10G", gpu_seconds=42.5, output_bytes=0).cost_microusd
    11881

    Raises:
        UnknownGpuTypeError: the card does not know this GPU.
        InvalidUsageError: a reading is negative or not finite.
    """
    if gpu_type not in rates.nanousd_per_gpu_second:
        raise UnknownGpuTypeError(gpu_type)
    _check("gpu_seconds", gpu_seconds)
    _check("output_bytes", output_bytes)
    _check("api_calls", api_calls)
    gpu_microseconds = whole(gpu_seconds * MICRO)
    second = rates.nanousd_per_gpu_second[gpu_type]
    gigabyte = _GIGABYTE * _NANO_PER_MICRO
    return CostBreakdown(
        gpu_microusd=divide(gpu_microseconds * second, MICRO * _NANO_PER_MICRO),
        api_microusd=divide(api_calls * rates.nanousd_per_api_call, _NANO_PER_MICRO),
        storage_microusd=divide(output_bytes * rates.nanousd_per_gb_stored, gigabyte),
        bandwidth_microusd=divide(output_bytes * rates.nanousd_per_gb_moved, gigabyte),
        microusd_per_token=rates.microusd_per_token,
        rates_version=rates.version,
    )


def expected_cost(model: CostModel, *, frames: int, rates: RateCard = RATES) -> MicroTokens:
    """Return what a provider's record promises a warm render of so many frames costs.

    Raises:
        UnknownGpuTypeError: the card does not know the GPU it needs.
        InvalidUsageError: the record promises less than nothing.
    """
    _check("base_cost_per_frame", model.base_cost_per_frame)
    used = cost_of(
        gpu_type=model.gpu_type_required,
        gpu_seconds=model.avg_gpu_seconds_per_frame * frames,
        output_bytes=frames * _BYTES_PER_FRAME,
        rates=rates,
    )
    return used.cost_microtokens + whole(model.base_cost_per_frame * frames * MICRO)


def marginality(charged: MicroTokens, cost: MicroTokens) -> float | None:
    """Return (charged - cost) / charged, or ``None`` when nothing was charged.

    For more than one job give the sums: the mean of the jobs' margins can have the wrong sign.

    >>> marginality(8_000_000, 2_000_000)
    0.75
    """
    if charged == 0:
        return None
    return (charged - cost) / charged


def _check(what: str, value: float) -> None:
    if not math.isfinite(value) or value < 0:
        raise InvalidUsageError(what, value)
