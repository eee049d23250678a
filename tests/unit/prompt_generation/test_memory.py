"""The history in memory keeps the contract that Postgres keeps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from actors.prompt_generation.memory import MemoryHistory
from actors.prompt_generation.ports import PromptHistory
from tests.unit.prompt_generation.histories import CHECKS


@pytest.mark.parametrize("check", CHECKS)
async def test_memory_keeps_the_contract(
    check: Callable[[PromptHistory], Awaitable[None]],
) -> None:
    """The tests of the actor stand on it."""
    await check(MemoryHistory())
