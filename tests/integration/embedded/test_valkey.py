"""A Valkey of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotAnswered

from effectmesh.embedded.errors import NoBinaryError
from effectmesh.embedded.valkey import EmbeddedValkey
from tests.integration.embedded.parents import running


async def test_what_was_stored_is_there_after_a_restart(home: Path) -> None:
    """A deploy does not reset everybody's rate limit."""
    server = EmbeddedValkey(home=home)
    with running(server) as url:
        async with Redis.from_url(url) as client:
            await client.set("tokens", 7, ex=600)

        server.stop()
        again = server.start()

        assert again == url
        async with Redis.from_url(url) as client:
            assert await client.get("tokens") == b"7"


@pytest.mark.parametrize("name", ['my "own" clips', "deep" * 30])
async def test_a_folder_may_be_odd_or_deep(home: Path, name: str) -> None:
    """A socket's path is limited to some hundred bytes, a folder's is not."""
    with running(EmbeddedValkey(home=home / name)) as url:
        async with Redis.from_url(url) as client:
            assert await client.ping()


async def test_nobody_gets_in_without_the_password(home: Path) -> None:
    """Tickets for WebSockets are kept here."""
    with running(EmbeddedValkey(home=home)) as url:
        async with Redis.from_url(f"unix://{url.rpartition('@')[2]}", protocol=2) as client:
            with pytest.raises(NotAnswered, match="Authentication required"):
                await client.get("tokens")


async def test_it_starts_after_a_crash(home: Path) -> None:
    """The socket of the dead one is still there."""
    server = EmbeddedValkey(home=home)
    with running(server):
        server.kill()

        async with Redis.from_url(server.start()) as client:
            assert await client.ping()


def test_a_named_program_that_is_not_there_is_refused(home: Path) -> None:
    """Another one must not be taken quietly in its place."""
    with pytest.raises(NoBinaryError, match="/nonexistent/valkey"):
        EmbeddedValkey(home=home, binary=Path("/nonexistent/valkey")).start()
