"""Every contract, in both worlds: on a real nats-server and on the broker in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.runtime.contracts import CONTRACTS, Contract
from tests.contract.runtime.worlds import server_world, twin_world

both = pytest.mark.parametrize(
    "contract", CONTRACTS, ids=lambda contract: contract.__name__.removeprefix("test_")
)


@both
async def test_a_server_keeps(contract: Contract, home: Path) -> None:
    """Otherwise the contract is wishful thinking."""
    async with server_world(home) as world:
        await contract(world)


@both
async def test_the_twin_keeps(contract: Contract) -> None:
    """Otherwise what passes on the twin proves nothing."""
    async with twin_world() as world:
        await contract(world)
