"""The comparison as the command line prints it, out of a real database."""

from __future__ import annotations

import json

import asyncpg
import pytest
from anyio import to_thread
from msgspec import structs
from typer.testing import CliRunner

from actors.prompt_generation.postgres import PostgresHistory
from actors.runtime.contract import SystemClock
from effectmesh.cli.app import app
from effectmesh.database import migrate
from tests.unit.prompt_generation.histories import whole


async def test_ab_shows_what_was_won(
    database: str, nats_url: str, redis_url: str, home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin decides by it which words to keep."""
    async with asyncpg.create_pool(database, min_size=1, max_size=2) as pool:
        await migrate(pool)
        won = whole("task_1", composite=0.9, confidence=1.0)
        await PostgresHistory(pool=pool).tell([structs.replace(won, at=SystemClock().now())])
    for name, value in (
        ("HOME", str(home)),
        ("POSTGRES_URL", database),
        ("NATS_URL", nats_url),
        ("REDIS_URL", redis_url),
    ):
        monkeypatch.setenv(f"EFFECTMESH_{name}", value)

    result = await to_thread.run_sync(
        CliRunner().invoke, app, ["prompt", "ab", "style_transfer", "--json"]
    )

    assert result.exit_code == 0, result.output
    lines = {each["template"]: each for each in json.loads(result.output)}
    assert lines["style_transfer.dream@1"]["standing"]["jobs"] == 1
    assert lines["style_transfer.dream@1"]["worth"] > lines["style_transfer.noir@1"]["worth"]
    assert {each["effect_type"] for each in lines.values()} == {"style_transfer"}
