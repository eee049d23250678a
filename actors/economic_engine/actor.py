"""The Economic Engine as an actor: hears commands and results, moves money, says what it did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from actors.economic_engine import core
from actors.economic_engine.core import Standing
from actors.economic_engine.errors import HoldNotFoundError, LedgerUnavailableError
from actors.economic_engine.ports import Ledger
from actors.runtime.contract import Clock, GiveUp, Said, TryLater
from actors.runtime.follow import follow
from economics import ledger as rules
from economics.errors import LedgerConflictError, UnknownEffectError, UnknownPriorityError
from economics.ledger import Entry, Kind
from economics.pricing import PriceBook, quote
from schemas.base import Message, Module
from schemas.commands import HoldTokens, ReleaseTokens, SettleTokens, TopUpWallet
from schemas.events import (
    LateAttemptPriced,
    ProviderStatusChanged,
    QualityEvaluated,
    TaskFailed,
    TaskSucceeded,
    TokensCharged,
    TokensHeld,
    TokensReleased,
    UserQuotaExceeded,
)
from schemas.telemetry import TelemetryPacket

OPEN_HOLDS: Final = 20
"""Jobs one user may have under way at once."""

_RETRY_S: Final = 2.0

Obeyed = HoldTokens | SettleTokens | ReleaseTokens | TopUpWallet
Learnt = TaskSucceeded | TaskFailed | LateAttemptPriced | QualityEvaluated | ProviderStatusChanged


class EconomicEngine:
    """Keeps the ledger.

    Hears:    HoldTokens, SettleTokens, ReleaseTokens, TopUpWallet; TaskSucceeded, TaskFailed,
              LateAttemptPriced; QualityEvaluated and ProviderStatusChanged, which move no money
    Says:     TokensHeld or UserQuotaExceeded; TokensCharged with a measurement; TokensReleased
    Owns:     the ledger
    Repeats:  harmless; every transfer's id follows from what was asked, and a repeated command is
              answered from what the ledger holds
    """

    def __init__(
        self, *, ledger: Ledger, book: PriceBook, clock: Clock, open_holds: int = OPEN_HOLDS
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._clock = clock
        self._open_holds = open_holds

    async def receive(self, heard: Message) -> Sequence[Said]:
        """Do what is asked, or book what is told."""
        async with _refusals():
            match heard:
                case HoldTokens():
                    return await self._hold(heard)
                case SettleTokens():
                    return await self._settle(heard)
                case ReleaseTokens():
                    return await self._release(heard)
                case TopUpWallet():
                    return await self._top_up(heard)
                case TaskSucceeded() | TaskFailed():
                    return await self._book_cost(heard)
                case LateAttemptPriced():
                    return await self._book_late(heard)
                case QualityEvaluated() | ProviderStatusChanged():
                    return []
                case _:
                    raise GiveUp(f"no business of the engine: {type(heard).__name__}")

    async def _hold(self, heard: HoldTokens) -> Sequence[Said]:
        """Price the job and reserve that much; a hold that was asked for before is not priced."""
        name = heard.payload.hold_id
        standing = await self._ledger.standing(heard.tenant_id, rules.hold_id(name))
        if standing == Standing():
            standing = await self._first_hold(heard)
        at = self._clock.now()
        if standing.hold:
            _same_job(standing.hold, heard)
            payload = core.held(standing.hold.transfer, name)
            return [TokensHeld(**follow(heard, TokensHeld, at=at), payload=payload)]
        assert standing.refusal is not None
        if standing.refusal.reason == core.RELEASED:
            return [self._nothing_released(heard, name)]
        header = follow(heard, UserQuotaExceeded, at=at)
        return [UserQuotaExceeded(**header, payload=core.refused(standing.refusal))]

    async def _first_hold(self, heard: HoldTokens) -> Standing:
        at = self._clock.now()
        order = heard.payload
        price = quote(
            effect_type=order.effect_type, priority=order.priority, book=self._book, at=at
        )
        if refusal := core.over_budget(heard, price, at):
            return await self._ledger.refuse(refusal)
        return await self._ledger.hold(core.hold_for(heard, price, at), open_limit=self._open_holds)

    async def _settle(self, heard: SettleTokens) -> Sequence[Said]:
        """Charge the hold; one that went back already stays back."""
        name = heard.payload.hold_id
        hold = await self._hold_of(heard, name)
        post = rules.settlement(
            hold.transfer, task_id=heard.payload.winning_task_id, at=self._clock.now()
        )
        return await self._resolved(heard, await self._ledger.resolve(post), name)

    async def _release(self, heard: ReleaseTokens) -> Sequence[Said]:
        """Give the hold back; one that was charged already stays charged.

        A release may overtake its hold when a user cancels at once. It then stands in the hold's
        place, or tokens nobody asks back would be reserved for ever.
        """
        name = heard.payload.hold_id
        at = self._clock.now()
        standing = await self._ledger.standing(heard.tenant_id, rules.hold_id(name))
        if standing.hold is None:
            standing = await self._ledger.refuse(core.never_held(heard, at))
        if standing.hold is None:
            return [self._nothing_released(heard, name)]
        _same_job(standing.hold, heard)
        void = rules.release(standing.hold.transfer, reason=heard.payload.reason, at=at)
        return await self._resolved(heard, await self._ledger.resolve(void), name)

    async def _top_up(self, heard: TopUpWallet) -> Sequence[Said]:
        amount = heard.payload.amount_microtokens
        if not 0 < amount <= rules.LARGEST:
            raise GiveUp(f"cannot pay in {amount} micro-tokens")
        await self._ledger.write(core.top_up_for(heard, self._clock.now()))
        return []

    async def _book_cost(self, heard: TaskSucceeded | TaskFailed) -> Sequence[Said]:
        """Book what a task cost, whoever won; measure the charge that waited for it."""
        transfer = core.booking_for(heard, self._clock.now())
        if transfer is None:
            return []
        booked = await self._ledger.write(transfer)
        if isinstance(heard, TaskFailed):
            return []
        job = await self._ledger.of_job(heard.tenant_id, heard.correlation_id)
        post = core.awaited(booked, job)
        return self._measurement(heard, post, job) if post else []

    async def _book_late(self, heard: LateAttemptPriced) -> Sequence[Said]:
        """Book an attempt that no outcome paid for; a charge is measured without it."""
        if heard.payload.cost_microtokens > 0:
            await self._ledger.write(core.late_booking_for(heard, self._clock.now()))
        return []

    async def _hold_of(self, heard: SettleTokens, name: str) -> Entry:
        standing = await self._ledger.standing(heard.tenant_id, rules.hold_id(name))
        if standing.hold is None:
            raise GiveUp(f"no hold {name!r} to settle")
        _same_job(standing.hold, heard)
        return standing.hold

    async def _resolved(
        self, heard: SettleTokens | ReleaseTokens, done: Entry, name: str
    ) -> Sequence[Said]:
        """Say what became of a hold, by this command or by an earlier one."""
        at = self._clock.now()
        if done.transfer.kind is Kind.VOID:
            header = follow(heard, TokensReleased, at=at)
            return [TokensReleased(**header, payload=core.released(done.transfer, name))]
        job = await self._ledger.of_job(heard.tenant_id, done.transfer.job_id)
        said = TokensCharged(
            **follow(heard, TokensCharged, at=at), payload=core.charged(done, job, name)
        )
        return [said, *self._measurement(heard, done, job)]

    def _measurement(
        self, heard: Message, post: Entry, job: Sequence[Entry]
    ) -> Sequence[TelemetryPacket]:
        sample = core.measured(post, job)
        if sample is None:
            return []
        header = follow(heard, TelemetryPacket, at=self._clock.now())
        return [TelemetryPacket(**header, module=Module.ECONOMIC_ENGINE, samples=(sample,))]

    def _nothing_released(self, heard: HoldTokens | ReleaseTokens, name: str) -> TokensReleased:
        header = follow(heard, TokensReleased, at=self._clock.now())
        payload = core.nothing_released(name, heard.payload.user_id)
        return TokensReleased(**header, payload=payload)


def _same_job(hold: Entry, heard: Message) -> None:
    """Refuse to move one job's money for another."""
    if not core.belongs(hold.transfer, heard.tenant_id, heard.correlation_id):
        raise GiveUp(f"{hold.transfer.id} is not a hold of {heard.correlation_id}")


@asynccontextmanager
async def _refusals() -> AsyncIterator[None]:
    """Turn what the ledger and the price book raise into the two refusals."""
    try:
        yield
    except LedgerUnavailableError as error:
        raise TryLater(str(error), retry_after=_RETRY_S) from error
    except (
        LedgerConflictError,
        HoldNotFoundError,
        UnknownEffectError,
        UnknownPriorityError,
    ) as error:
        raise GiveUp(str(error)) from error
