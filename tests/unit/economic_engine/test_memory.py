"""The fake ledger obeys the suite."""

from __future__ import annotations

import pytest

from actors.economic_engine.memory import MemoryLedger
from tests.unit.economic_engine.ledger_suite import LedgerSuite


class TestMemoryLedger(LedgerSuite):
    """What the other unit tests rest on."""

    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        """Return an empty ledger."""
        return MemoryLedger()
