"""What can go wrong with the ledger's store."""

from __future__ import annotations


class LedgerUnavailableError(Exception):
    """The store cannot be reached, or gave way to another transaction; trying again may help."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the ledger is unavailable: {why}")
        self.why = why


class HoldNotFoundError(LookupError):
    """A transfer resolves a hold that was never made."""

    def __init__(self, hold_id: str) -> None:
        super().__init__(f"no hold {hold_id!r}")
        self.hold_id = hold_id
