"""Saga steps with asyncpg: inbox, state and outbox in one transaction, and a relay to the broker.

The stopwatch stops when the relay has stored the last message, as the others' does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import anyio
import asyncpg
import nats
from nats.js import JetStreamContext

from benchmarks import sample, steps
from benchmarks.workloads.common import run, say
from schemas.events import VideoIngested

RELAYED: Final = 256
TABLES: Final = """
create table inbox (id text primary key);
create table saga (id text primary key, state bytea not null);
create table outbox (
    number bigint generated always as identity primary key,
    id text not null, subject text not null, body bytea not null
);
"""
HEAR: Final = """
with heard as (insert into inbox values ($1) on conflict do nothing returning id)
select (select count(*) from heard), (select state from saga where id = $2)
"""
KEEP: Final = """
with kept as (
    insert into saga values ($1, $2) on conflict (id) do update set state = excluded.state
)
insert into outbox (id, subject, body)
select * from unnest($3::text[], $4::text[], $5::bytea[])
"""
TAKE: Final = "select number, id, subject, body from outbox order by number limit $1"
DROP: Final = "delete from outbox where number = any($1)"


async def measure(arguments: dict[str, Any]) -> None:
    """Take ``count`` steps with each saga, all sagas at once, and relay what they say."""
    count = arguments["count"]
    client = await nats.connect(arguments["url"])
    async with asyncpg.create_pool(arguments["postgres"], min_size=33, max_size=33) as pool:
        await pool.execute(TABLES)

        async def one(saga: int) -> None:
            for number in range(count):
                await step(pool, steps.heard(saga, number))

        wall, cpu = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as stepping:
            stepping.start_soon(relay, pool, client.jetstream(), count * steps.SAGAS * steps.SAID)
            for saga in range(steps.SAGAS):
                stepping.start_soon(one, saga)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await client.close()
    say({"wall_s": wall, "cpu_s": cpu})


async def step(pool: asyncpg.Pool, event: VideoIngested) -> None:
    """Take one step: begin, hear, keep, commit."""
    async with pool.acquire() as connection, connection.transaction():
        fresh, state = await connection.fetchrow(HEAR, event.event_id, event.correlation_id)
        if not fresh:
            return
        course = steps.moved(steps.DECODER.decode(state) if state else None, event)
        ids, subjects, bodies = zip(*steps.words(event), strict=True)
        state = sample.ENCODER.encode(course)
        await connection.execute(KEEP, event.correlation_id, state, ids, subjects, bodies)


async def relay(pool: asyncpg.Pool, stream: JetStreamContext, total: int) -> None:
    """Store what is in the outbox, then drop it there."""
    while total:
        rows = await pool.fetch(TAKE, RELAYED)
        if not rows:
            await asyncio.sleep(0.001)
            continue
        await asyncio.gather(
            *(
                stream.publish(each["subject"], each["body"], headers={"Nats-Msg-Id": each["id"]})
                for each in rows
            )
        )
        await pool.execute(DROP, [each["number"] for each in rows])
        total -= len(rows)


if __name__ == "__main__":
    run(measure)
