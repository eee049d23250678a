"""A local copy drops what its bucket has no more, though nothing says so."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from actors.runtime import provision, watch
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Put
from actors.runtime.feed import Feed
from actors.runtime.watch import Watched
from effectmesh.embedded.nats import EmbeddedNats
from subjects.topology import PRESENCE, ROUTING, Bucket
from tests.integration.runtime.test_feed import background
from tests.integration.runtime.world import SOON_S, apply, bucket_named, restart

AGENT = b'{"slots":1}'


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the keys without making the test wait."""
    monkeypatch.setattr(watch, "COMPARE_S", 0.05)
    monkeypatch.setattr(watch, "COMPARE_RETRY_S", 0.05)


def presence(bus: Bus) -> Watched[Any]:
    """Return a copy of who is there."""
    return Watched(bus=bus, bucket=PRESENCE, decode=msgspec.json.decode)


async def make(bus: Bus, bucket: Bucket) -> None:
    """Make a bucket."""
    config = provision.bucket_config(bucket)
    await bus.api(f"STREAM.CREATE.{config['name']}", config)


async def put(bus: Bus, *keys: str) -> None:
    """Say that some agents are there."""
    await bus.say([Put(bucket=PRESENCE, key=key, value=AGENT) for key in keys])


async def until(copy: Watched[Any], *keys: str) -> None:
    """Return once exactly these are there."""
    with anyio.fail_after(SOON_S):
        while set(copy.values) != set(keys):
            await copy.changed()


async def test_a_key_that_expired_is_gone(bus: Bus) -> None:
    """An agent that died would be counted as there for ever."""
    await make(bus, msgspec.structs.replace(bucket_named(PRESENCE), ttl_s=1))
    copy = presence(bus)
    async with background(copy.run):
        await put(bus, "agent_1", "agent_2")
        await until(copy, "agent_1", "agent_2")
        await until(copy)
        await put(bus, "agent_2")
        await until(copy, "agent_2")


async def test_a_key_that_is_renewed_stays(bus: Bus) -> None:
    """As long as its agent lives."""
    await make(bus, msgspec.structs.replace(bucket_named(PRESENCE), ttl_s=1))
    copy = presence(bus)
    async with background(copy.run):
        await put(bus, "agent_1", "agent_2")
        await until(copy, "agent_1", "agent_2")
        with anyio.fail_after(SOON_S):
            while "agent_2" in copy.values:
                await put(bus, "agent_1")
                assert "agent_1" in copy.values


async def test_a_bucket_that_was_made_again_is_read_anew(bus: Bus) -> None:
    """It counts from one again; whatever was in the old one is not in this one."""
    await apply(bus, streams=[], buckets=[PRESENCE])
    copy = presence(bus)
    async with background(copy.run):
        await put(bus, *(f"agent_{n}" for n in range(5)))
        await until(copy, *(f"agent_{n}" for n in range(5)))
        await bus.api(f"STREAM.DELETE.KV_{PRESENCE}")
        await apply(bus, streams=[], buckets=[PRESENCE])
        await put(bus, "agent_3", "agent_9")
        await until(copy, "agent_3", "agent_9")


async def test_what_was_emptied_without_a_word_is_gone(bus: Bus) -> None:
    """``nats stream purge`` leaves no marker behind."""
    await apply(bus, streams=[], buckets=[PRESENCE])
    copy = presence(bus)
    async with background(copy.run):
        await put(bus, "agent_1", "agent_2")
        await until(copy, "agent_1", "agent_2")
        subject = f"$KV.{PRESENCE}.agent_1"
        await bus.api(f"STREAM.PURGE.KV_{PRESENCE}", {"filter": subject})
        await until(copy, "agent_2")


async def test_what_vanished_while_we_were_away_is_gone(mortal: EmbeddedNats) -> None:
    """A reconnect reads what is there; what is not there says nothing."""
    async with connected(mortal.url, name="test") as bus:
        await apply(bus, streams=[], buckets=[PRESENCE])
        copy = presence(bus)
        async with background(copy.run):
            await put(bus, "agent_1", "agent_2")
            await until(copy, "agent_1", "agent_2")
            await anyio.to_thread.run_sync(mortal.kill)
            assert set(copy.values) == {"agent_1", "agent_2"}
            await anyio.to_thread.run_sync(mortal.start)
            async with connected(mortal.url, name="operator") as operator:
                await operator.api(f"STREAM.PURGE.KV_{PRESENCE}", {})
            await until(copy)


async def test_a_bucket_that_cannot_be_looked_at_keeps_its_values(mortal: EmbeddedNats) -> None:
    """Away is not empty: routing goes on with the last good manifest."""
    async with connected(mortal.url, name="test") as bus:
        await apply(bus, streams=[], buckets=[PRESENCE])
        copy = presence(bus)
        async with background(copy.run):
            await put(bus, "agent_1")
            await until(copy, "agent_1")
            await restart(mortal)
            await put(bus, "agent_2")
            await until(copy, "agent_1", "agent_2")


async def test_a_key_that_is_newer_than_the_answer_stays(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was put after the server listed the keys, and came before the list did."""
    await apply(bus, streams=[], buckets=[PRESENCE])
    copy = presence(bus)
    api = bus.api
    answers = 0

    async def late(call: str, body: object = None) -> dict[str, Any]:
        nonlocal answers
        answer = await api(call, body)
        if call.startswith("STREAM.INFO"):
            answers += 1
            await put(bus, f"agent_{answers}")
            await until(copy, *(f"agent_{n + 1}" for n in range(answers)))
        return answer

    monkeypatch.setattr(bus, "api", late)
    async with background(copy.run):
        await until(copy, *(f"agent_{n + 1}" for n in range(3)))

    assert answers >= 3


async def test_it_is_complete_once_the_first_copy_is(bus: Bus) -> None:
    """A process is not ready before."""
    await apply(bus, streams=[], buckets=[ROUTING])
    copy: Watched[Any] = Watched(bus=bus, bucket=ROUTING, decode=msgspec.json.decode)
    assert not copy.complete
    async with background(copy.run):
        await copy.ready()
        assert copy.complete


async def test_a_feed_that_starts_over_reads_again(bus: Bus) -> None:
    """That is what a copy of a bucket that was made again needs."""
    await apply(bus, streams=[], buckets=[PRESENCE])
    await put(bus, "agent_1")
    heard: list[str] = []
    twice = anyio.Event()

    async def take(message: Any, _: Any) -> None:
        heard.append(message.subject)
        if len(heard) == 1:
            feed.start_over()
        else:
            twice.set()

    feed = Feed(bus=bus, stream=f"KV_{PRESENCE}", subject="$KV.>", start="newest", resume=False)
    async with background(lambda: feed.run(take)):
        await twice.wait()

    assert heard == [f"$KV.{PRESENCE}.agent_1"] * 2
