"""What a user pays: the effect's base price, a quality premium, a speed premium.

Every price list is valid for a time, so that a repricing does not change what yesterday's jobs were
quoted. At 100 micro-dollars a token, a render of some seven seconds on the embedded renderer's CPU
costs 2 to 2.4 tokens and a job tries three; the base prices leave a margin of two fifths and more.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Final

from msgspec import Struct

from economics.errors import (
    NoPriceListError,
    OverlappingPricesError,
    UnknownEffectError,
    UnknownPriorityError,
)
from economics.rounding import divide
from schemas.base import EPOCH, MICRO, MicroTokens
from schemas.money import Price

_THOUSANDTHS: Final = 1_000


class Premium(Struct, frozen=True, kw_only=True):
    """What a priority adds, in thousandths of the base price."""

    quality: int = 0
    speed: int = 0


class PriceList(Struct, frozen=True, kw_only=True):
    """Prices that are valid from ``valid_from`` until before ``valid_until``."""

    version: str
    base: dict[str, MicroTokens]
    premiums: dict[str, Premium]
    valid_from: datetime = EPOCH
    valid_until: datetime | None = None

    def valid_at(self, at: datetime) -> bool:
        """Say whether a job ordered at this time is priced by this list."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


class PriceBook:
    """All price lists, past, present and future; at no time are two valid."""

    def __init__(self, *lists: PriceList) -> None:
        self._lists = sorted(lists, key=lambda each: each.valid_from)
        for earlier, later in pairwise(self._lists):
            if earlier.valid_at(later.valid_from):
                raise OverlappingPricesError(earlier.version, later.version)

    def at(self, at: datetime) -> PriceList:
        """Return the list that is valid at this time.

        Raises:
            NoPriceListError: there is none.
        """
        for each in self._lists:
            if each.valid_at(at):
                return each
        raise NoPriceListError(at.isoformat())

    def effects(self, at: datetime) -> frozenset[str]:
        """Return the effect types that can be sold at this time."""
        return frozenset(self.at(at).base)


PRICES: Final = PriceBook(
    PriceList(
        version="v1",
        base={
            "color_correction": 12 * MICRO,
            "detail_enhancement": 12 * MICRO,
            "framing": 12 * MICRO,
            "text_overlay": 12 * MICRO,
            "motion_enhancement": 14 * MICRO,
            "stabilization": 14 * MICRO,
            "style_transfer": 14 * MICRO,
            "background_replacement": 16 * MICRO,
            "object_removal": 16 * MICRO,
            "upscale": 16 * MICRO,
        },
        premiums={
            "cost": Premium(),
            "balanced": Premium(quality=100, speed=100),
            "quality": Premium(quality=300),
            "speed": Premium(speed=300),
        },
    )
)
"""The prices the platform starts with."""


def quote(*, effect_type: str, priority: str, at: datetime, book: PriceBook = PRICES) -> Price:
    """Return the price of a job ordered at ``at``.

    Raises:
        UnknownEffectError: the effect type is not sold.
        UnknownPriorityError: nobody defined this priority.
        NoPriceListError: no price list is valid then.
    """
    prices = book.at(at)
    if effect_type not in prices.base:
        raise UnknownEffectError(effect_type)
    if priority not in prices.premiums:
        raise UnknownPriorityError(priority)
    base = prices.base[effect_type]
    premium = prices.premiums[priority]
    return Price(
        effect_base_price=base,
        quality_premium=divide(base * premium.quality, _THOUSANDTHS),
        speed_premium=divide(base * premium.speed, _THOUSANDTHS),
        price_version=prices.version,
    )
