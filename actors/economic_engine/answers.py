"""Wallets, statements, the audit and the live margins, answered at once."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from actors.economic_engine import core
from actors.economic_engine.errors import LedgerUnavailableError
from actors.economic_engine.ports import Ledger
from actors.economic_engine.tracker import Tracker
from actors.runtime.contract import Clock, TryLater
from schemas.asks import (
    PAGE_LIMIT,
    Margins,
    ReadMargins,
    ReadStatement,
    ReadWallet,
    Statement,
    VerifyLedger,
)
from schemas.routing import RoutingManifest


class EconomicAnswers:
    """Answers from the ledger and the tracker; changes nothing."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        tracker: Tracker,
        manifest: Callable[[], RoutingManifest | None],
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._tracker = tracker
        self._manifest = manifest
        self._clock = clock

    async def answer(self, question: Struct) -> Struct:
        """Return the answer to one of the four questions."""
        try:
            match question:
                case ReadWallet():
                    return await self._ledger.wallet(question.tenant_id)
                case ReadStatement():
                    return await self._statement(question)
                case VerifyLedger():
                    return await self._ledger.verify()
                case ReadMargins():
                    return self._margins()
                case _:
                    raise TypeError(f"no answer to {type(question).__name__}")
        except LedgerUnavailableError as error:
            raise TryLater(str(error)) from error

    async def _statement(self, question: ReadStatement) -> Statement:
        limit = max(1, min(question.limit, PAGE_LIMIT))
        if not question.job_id:
            entries = await self._ledger.of_tenant(question.tenant_id, limit=limit)
            return Statement(lines=tuple(core.line_of(each) for each in entries))
        job = await self._ledger.of_job(question.tenant_id, question.job_id)
        return Statement(
            lines=tuple(core.line_of(each) for each in job[:limit]),
            account=core.account_of(question.job_id, job),
        )

    def _margins(self) -> Margins:
        now = self._clock.now()
        return Margins(rows=self._tracker.margins(now), manifest=self._manifest(), at=now)
