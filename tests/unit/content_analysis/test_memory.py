"""The memory of answers in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from actors.content_analysis.memory import MemoryAnalyses
from actors.content_analysis.ports import AnalysisCache
from tests.unit.content_analysis.caches import CHECKS


@pytest.mark.parametrize("check", CHECKS)
async def test_memory_keeps_the_contract(
    check: Callable[[AnalysisCache], Awaitable[None]],
) -> None:
    """The same checks Postgres passes."""
    await check(MemoryAnalyses())
