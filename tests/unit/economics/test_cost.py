"""What a render costs, in integers that add up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from economics.cost import RATES, cost_of, expected_cost, marginality
from economics.errors import InvalidUsageError, UnknownGpuTypeError
from economics.rounding import divide
from schemas.routing import CostModel


def test_an_a10g_second_costs_what_the_cloud_lists() -> None:
    """g5.xlarge is 1.006 USD an hour; an hour of it must come out at that, to the micro-dollar."""
    hour = cost_of(gpu_type="A10G", gpu_seconds=3600.0, output_bytes=0, api_calls=0)

    assert abs(hour.cost_microusd - 1_006_000) <= 2


def test_the_specifications_render_costs_about_119_tokens() -> None:
    """42.5 GPU seconds on A10G are 0.0119 USD: the figure the specification's example has."""
    cost = cost_of(gpu_type="A10G", gpu_seconds=42.5, output_bytes=0, api_calls=0)

    assert cost.cost_microusd == 11_876
    assert cost.cost_microtokens == 118_760_000


def test_the_parts_add_up_to_the_whole() -> None:
    """A person who adds the four lines of a breakdown must get the total."""
    cost = cost_of(gpu_type="cpu", gpu_seconds=2.5, output_bytes=900_000)

    assert cost.gpu_microusd == 59
    assert cost.api_microusd == 5
    assert cost.storage_microusd == 21
    assert cost.bandwidth_microusd == 9
    assert cost.cost_microusd == 94
    assert cost.cost_microtokens == 940_000


def test_an_unknown_gpu_is_refused_by_name() -> None:
    """A guess would be booked as if it were a price."""
    with pytest.raises(UnknownGpuTypeError, match="'B9000'"):
        cost_of(gpu_type="B9000", gpu_seconds=1.0, output_bytes=0)


@pytest.mark.parametrize("seconds", [-0.1, math.nan, math.inf])
def test_a_broken_meter_is_refused(seconds: float) -> None:
    """A cost of nothing, or of infinity, would poison every sum it enters."""
    with pytest.raises(InvalidUsageError, match="gpu_seconds"):
        cost_of(gpu_type="cpu", gpu_seconds=seconds, output_bytes=0)


@given(st.lists(st.integers(min_value=0, max_value=10**7), min_size=1, max_size=50))
def test_rounding_does_not_drift(microseconds: list[int]) -> None:
    """What many small renders are booked at stays within half a unit a booking of the true sum."""
    second = RATES.nanousd_per_gpu_second["cpu"]
    booked = sum(
        cost_of(gpu_type="cpu", gpu_seconds=each / 1e6, output_bytes=0, api_calls=0).cost_microusd
        for each in microseconds
    )
    exact = sum(microseconds) * second / 1e9

    assert abs(booked - exact) <= 0.5 * len(microseconds) + 1e-6


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=1, max_value=10**9))
def test_divide_is_the_nearest_with_halves_up(numerator: int, denominator: int) -> None:
    """The one rounding rule of the whole package."""
    rest = numerator - divide(numerator, denominator) * denominator

    assert -denominator <= 2 * rest < denominator


def test_the_margin_of_many_is_the_ratio_of_the_sums() -> None:
    """Two tasks whose mean margin is 0.18 earn 0.5 together: only the ratio of sums is money."""
    tasks = [(10_000_000, 1_500_000), (1_000_000, 1_500_000), (4_000_000, 4_500_000)]
    charged, cost = (sum(column) for column in zip(*tasks, strict=True))

    assert marginality(charged, cost) == 0.5
    assert sum(marginality(*task) or 0.0 for task in tasks) / len(tasks) < 0.2


def test_nothing_charged_has_no_margin() -> None:
    """A margin of zero would hide that a job was free."""
    assert marginality(0, 5) is None


def test_a_declared_cost_follows_the_cost_model() -> None:
    """Before the first sample the router knows a provider by its record alone."""
    model = CostModel(
        base_cost_per_frame=0.002, gpu_type_required="A10G", avg_gpu_seconds_per_frame=1.2
    )

    tokens = expected_cost(model, frames=100) / 1_000_000

    assert 335 < tokens < 337
