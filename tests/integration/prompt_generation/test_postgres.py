"""The history in a real Postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import asyncpg
import pytest
from msgspec import structs

from actors.prompt_generation.history import Asked
from actors.prompt_generation.keeper import RankingKeeper
from actors.prompt_generation.ports import PromptHistory
from actors.prompt_generation.postgres import PostgresHistory
from actors.runtime.contract import FrozenClock
from schemas.base import JobId
from tests.builders import TENANT
from tests.unit.prompt_generation.histories import CHECKS, PARTS, asked, whole
from tests.unit.prompt_generation.world import FixedRanking, known, module, painterly


@pytest.mark.parametrize("check", CHECKS)
async def test_postgres_keeps_the_contract(
    check: Callable[[PromptHistory], Awaitable[None]], pool: asyncpg.Pool
) -> None:
    """The same checks the memory passes."""
    await check(PostgresHistory(pool=pool))


async def test_the_same_event_recorded_at_once_is_kept_once(pool: asyncpg.Pool) -> None:
    """Two workers may get the same message; both must say the same."""
    history = PostgresHistory(pool=pool)
    kept: list[Asked] = []

    async def record(template: str) -> None:
        kept.append(await history.record(asked(template_id=template)))

    async with anyio.create_task_group() as group:
        for template in ("a", "b", "c", "d"):
            group.start_soon(record, template)

    assert len({each.template_id for each in kept}) == 1
    assert await pool.fetchval("select count(*) from prompt_generation.asked") == 1


async def test_parts_told_at_once_add_up(pool: asyncpg.Pool) -> None:
    """The messages of one job are heard beside each other."""
    history = PostgresHistory(pool=pool)

    async with anyio.create_task_group() as group:
        for part in (*PARTS, *PARTS):
            group.start_soon(history.tell, [part])

    assert await history.outcomes(TENANT, JobId("job_1")) == [whole("task_1")]


async def test_a_restarted_module_says_the_same_though_the_ranking_has_changed(
    pool: asyncpg.Pool,
) -> None:
    """The process is another one, the ranking too; the job's words are those it was given."""
    heard = [painterly(f"job_{number}", f"evt_{number}") for number in range(12)]
    before = [await module(history=PostgresHistory(pool=pool)).receive(each) for each in heard]
    ranking = FixedRanking(known(strokes=(400, 0.1), canvas=(400, 0.95)))

    after = [
        await module(history=PostgresHistory(pool=pool), rankings=ranking).receive(each)
        for each in heard
    ]
    unkept = [await module(rankings=ranking).receive(each) for each in heard]

    assert after == before
    assert unkept != before


async def test_a_ranking_is_read_from_the_tables(pool: asyncpg.Pool) -> None:
    """What was won is known to the next process."""
    history = PostgresHistory(pool=pool)
    keeper = RankingKeeper(history=history, clock=FrozenClock())
    at = FrozenClock().now()
    await history.tell([structs.replace(whole("task_1", confidence=1.0, composite=0.2), at=at)])

    await keeper.refresh()

    rank = keeper.current().ranks["style_transfer.dream@1"]
    assert rank.standing is not None
    assert rank.standing.jobs == 1
    assert rank.worth < 0.7
