"""The ledger on a real Postgres: the suite, concurrency, tampering."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import asyncpg
import pytest

from actors.economic_engine.errors import LedgerUnavailableError
from actors.economic_engine.postgres import PostgresLedger
from economics import ledger as rules
from effectmesh.database import migrate
from schemas.base import JobId, TaskId, UserId
from tests.builders import JOB, NOON, TENANT
from tests.unit.economic_engine.ledger_suite import LedgerSuite, booked, hold, paid_in

TAMPER = "alter table economic_engine.transfer disable trigger user"

FORGED = """
    insert into economic_engine.transfer (
        id, kind, debit, credit, amount, tenant_id, job_id, user_id, task_id, effect_type, memo,
        detail, at, sequence, previous, seal
    ) values (
        'x', 'transfer', 'platform:grants', 'wallet:tnt_1', 9, 'tnt_1', '', '', '', '', '',
        '', now(), 6, '', ''
    )
"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Return a pool on a database with the engine's tables."""
    async with asyncpg.create_pool(database, min_size=1, max_size=8) as opened:
        await migrate(opened)
        yield opened


@pytest.fixture
def ledger(pool: asyncpg.Pool) -> PostgresLedger:
    """Return an empty ledger."""
    return PostgresLedger(pool=pool)


class TestPostgresLedger(LedgerSuite):
    """The real one obeys the suite."""


async def test_the_tables_can_be_made_twice(pool: asyncpg.Pool) -> None:
    """Every start of the engine makes them."""
    await migrate(pool)


async def test_concurrent_holds_never_overdraw(ledger: PostgresLedger) -> None:
    """1,000 tokens are 142 holds of 7, whoever asks and however many at once."""
    await ledger.write(paid_in(1_000))
    made: list[str] = []

    async def ask(worker: int) -> None:
        for n in range(200):
            name = f"h{worker}_{n}"
            user = UserId(f"usr_{worker}")
            standing = await ledger.hold(hold(name, 7, user_id=user), open_limit=1_000)
            if standing.hold:
                made.append(name)

    async with anyio.create_task_group() as group:
        for worker in range(8):
            group.start_soon(ask, worker)
    wallet = await ledger.wallet(TENANT)

    assert len(made) == 142
    assert (wallet.available_microtokens, wallet.held_microtokens) == (6, 994)
    assert (await ledger.verify()).problems == ()


async def test_a_settle_and_a_cancel_at_once_resolve_a_hold_once(ledger: PostgresLedger) -> None:
    """Both are told the same outcome."""
    await ledger.write(paid_in(1_000))
    outcomes: dict[str, set[str]] = {}

    async def resolve(name: str, charge: bool) -> None:
        held = hold(name)
        transfer = (
            rules.settlement(held, task_id=TaskId("t"), at=NOON)
            if charge
            else rules.release(held, reason="cancelled", at=NOON)
        )
        entry = await ledger.resolve(transfer)
        outcomes.setdefault(name, set()).add(entry.seal)

    names = [f"h{n}" for n in range(20)]
    for name in names:
        await ledger.hold(hold(name), open_limit=100)
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(resolve, name, True)
            group.start_soon(resolve, name, False)

    assert [len(outcomes[name]) for name in names] == [1] * 20
    assert (await ledger.verify()).problems == ()


async def test_two_tenants_do_not_wait_for_each_other(
    ledger: PostgresLedger, pool: asyncpg.Pool
) -> None:
    """Revenue is one account for all; it must not be one lock for all."""
    other = hold("h2", tenant_id="tnt_2")  # type: ignore[arg-type]  # a plain name will do
    await ledger.write(paid_in(100))
    await ledger.write(paid_in(100, name="t2", tenant_id=other.tenant_id))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select * from economic_engine.chain where tenant_id = $1 for update", TENANT
        )
        with anyio.fail_after(5):
            standing = await ledger.hold(other, open_limit=9)

    assert standing.hold is not None


@pytest.mark.parametrize(
    "statement",
    [
        "update economic_engine.transfer set amount = 1",
        "delete from economic_engine.transfer",
        "truncate economic_engine.transfer cascade",
    ],
)
async def test_the_database_refuses_to_change_an_entry(
    ledger: PostgresLedger, pool: asyncpg.Pool, statement: str
) -> None:
    """Even to somebody with a console."""
    await ledger.write(paid_in(100))

    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await pool.execute(statement)


async def test_the_database_refuses_an_overdraft(
    ledger: PostgresLedger, pool: asyncpg.Pool
) -> None:
    """The last guard, below every line of Python."""
    await ledger.write(paid_in(100))

    with pytest.raises(asyncpg.CheckViolationError, match="account_is_not_overdrawn"):
        await pool.execute("update economic_engine.account set debits_posted = 101 where guarded")


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "update economic_engine.transfer set amount = 900 where id = 'topup:t1'",
            "topup:t1 is not what was sealed",
        ),
        (
            "update economic_engine.transfer set memo = 'gift' where id = 'hold:h1'",
            "hold:h1 is not what was sealed",
        ),
        (
            "delete from economic_engine.transfer where id = 'cost:task_1'",
            "post:h1 does not follow the entry before it",
        ),
        (
            "delete from economic_engine.transfer where id = 'cost:task_2'",
            "the chain of tnt_1 does not end where its head says",
        ),
        (
            "update economic_engine.account set credits_posted = 500 where id = 'wallet:tnt_1'",
            "wallet:tnt_1 is stored as 500 in",
        ),
        (
            FORGED,
            "x does not follow the entry before it",
        ),
    ],
)
async def test_the_audit_finds_what_was_tampered_with(
    ledger: PostgresLedger, pool: asyncpg.Pool, statement: str, problem: str
) -> None:
    """An audit that says yes to everything is worth nothing."""
    await ledger.write(paid_in(100))
    await ledger.hold(hold(), open_limit=9)
    await ledger.write(booked("task_1", 3))
    await ledger.resolve(rules.settlement(hold(), task_id=TaskId("task_1"), at=NOON))
    await ledger.write(booked("task_2", 4))
    before = await ledger.verify()

    async with pool.acquire() as connection:
        await connection.execute(TAMPER)
        await connection.execute(statement)
    after = await ledger.verify()

    assert before.problems == ()
    assert (before.entries, before.accounts) == (5, 5)
    assert any(problem in each for each in after.problems), after.problems


async def test_entries_come_back_exactly_as_they_were_written(ledger: PostgresLedger) -> None:
    """The seal covers every field, so a lossy column would look like tampering."""
    written = await ledger.write(booked("task_1", 3, role="shadow", job_id=JobId("job_9")))
    [read] = await ledger.of_job(TENANT, JobId("job_9"))

    assert read == written
    assert await ledger.of_job(TENANT, JOB) == ()


async def test_a_lost_database_is_a_passing_trouble(database: str) -> None:
    """The actor must ask again later, not give the message up."""
    pool = await asyncpg.create_pool(database, min_size=1, max_size=1)
    ledger = PostgresLedger(pool=pool)
    await pool.close()

    with pytest.raises(LedgerUnavailableError):
        await ledger.wallet(TENANT)
