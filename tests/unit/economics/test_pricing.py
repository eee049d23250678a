"""What a user pays, and since when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from economics.cost import cost_of, marginality
from economics.errors import (
    NoPriceListError,
    OverlappingPricesError,
    UnknownEffectError,
    UnknownPriorityError,
)
from economics.pricing import PRICES, Premium, PriceBook, PriceList, quote

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def price_list(version: str, base: int, since: datetime, until: datetime | None) -> PriceList:
    """Return a list with one effect."""
    return PriceList(
        version=version,
        base={"upscale": base},
        premiums={"balanced": Premium(quality=100, speed=55)},
        valid_from=since,
        valid_until=until,
    )


def test_a_price_is_base_and_two_premiums() -> None:
    """The formula of the specification, in integers."""
    price = quote(effect_type="color_correction", priority="balanced", at=MARCH)

    assert price.effect_base_price == 12_000_000
    assert price.quality_premium == 1_200_000
    assert price.speed_premium == 1_200_000
    assert price.total == 14_400_000


@pytest.mark.parametrize("priority", ["quality", "speed", "cost", "balanced"])
@pytest.mark.parametrize("effect_type", sorted(PRICES.effects(MARCH)))
def test_three_embedded_renders_leave_a_margin(effect_type: str, priority: str) -> None:
    """A price list that loses money on the machine everybody starts with would be a toy."""
    render = cost_of(gpu_type="cpu", gpu_seconds=7.0, output_bytes=1_500_000)
    price = quote(effect_type=effect_type, priority=priority, at=MARCH)

    margin = marginality(price.total, 3 * render.cost_microtokens)

    assert margin is not None
    assert 0.4 < margin < 0.7


def test_a_repricing_does_not_change_yesterdays_price() -> None:
    """A repeated command must be quoted what it was quoted the first time."""
    book = PriceBook(
        price_list("v2", 9_000_000, APRIL, None), price_list("v1", 6_000_000, MARCH, APRIL)
    )
    before = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)

    old = quote(effect_type="upscale", priority="balanced", at=before, book=book)
    new = quote(effect_type="upscale", priority="balanced", at=APRIL, book=book)

    assert (old.price_version, old.effect_base_price) == ("v1", 6_000_000)
    assert (new.price_version, new.effect_base_price) == ("v2", 9_000_000)


def test_two_lists_may_not_be_valid_at_once() -> None:
    """Which one applied would depend on their order."""
    with pytest.raises(OverlappingPricesError):
        PriceBook(price_list("v1", 1, MARCH, None), price_list("v2", 2, APRIL, None))


def test_what_is_not_sold_has_no_price() -> None:
    """Each refusal names what was wrong."""
    with pytest.raises(UnknownEffectError, match="'time_travel'"):
        quote(effect_type="time_travel", priority="cost", at=MARCH)
    with pytest.raises(UnknownPriorityError, match="'luck'"):
        quote(effect_type="upscale", priority="luck", at=MARCH)
    with pytest.raises(NoPriceListError):
        PriceBook(price_list("v1", 1, MARCH, APRIL)).at(APRIL)
