"""A long job is left alone as long as somebody works on it, and given away when nobody does."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import anyio
from nats.aio.msg import Msg

from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.worker import Worker
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import Module
from schemas.events import VideoIngested
from subjects.topology import DLQ, EVT, SAGA
from tests.integration.crashes.counting import ACK_WAIT_S, HEARD
from tests.integration.crashes.fleet import Fleet
from tests.integration.crashes.mortal import Death
from tests.integration.runtime.world import (
    SOON_S,
    Seen,
    consumer,
    declared,
    fact,
    info,
    settled,
    worker,
    working,
)

log = logging.getLogger("tests.crashes")

TIMES: Final = 4
"""How often the acknowledgement time passes while the job goes on."""
JOBS: Final = 16
FILTERS: Final = ("evt.video_intake.>",)
BEATING = consumer(Module.APPROVAL, filters=FILTERS, ack_wait_s=ACK_WAIT_S)
SILENT = consumer(Module.GALLERY, filters=FILTERS, ack_wait_s=ACK_WAIT_S)
CLOCK = consumer("clock", filters=FILTERS, ack_wait_s=ACK_WAIT_S)


async def test_a_job_of_four_times_the_acknowledgement_time_is_not_delivered_again(
    mortal: EmbeddedNats,
) -> None:
    """A render would be paid for twice. Without the beats of the runtime it is."""
    async with connected(mortal.url, name="long") as bus:
        await provision.apply(bus, declared(BEATING, SILENT, CLOCK))
        over = anyio.Event()
        begun: dict[str, Seen[str]] = {BEATING.name: Seen(), SILENT.name: Seen()}
        beating = _long(bus, BEATING, begun[BEATING.name], over)
        silent = _long(bus, SILENT, begun[SILENT.name], over)
        silent._answering.beat = _no_beat  # type: ignore[method-assign]
        await bus.say([fact(1)])
        async with working(beating, silent):
            for each in begun.values():
                await each.until(1)
            await _pass(bus, TIMES)
            over.set()
            await settled(bus, BEATING)

    assert len(begun[BEATING.name].items) == 1
    assert len(begun[SILENT.name].items) > 1


async def test_the_job_of_a_dead_worker_is_done_elsewhere(mortal: EmbeddedNats) -> None:
    """Nobody tells the broker; it notices that nobody answers, and hands it on."""
    async with connected(mortal.url, name="long") as bus:
        await provision.apply(bus, declared(HEARD, streams=(EVT, SAGA, DLQ)))
        done: Seen[float] = Seen()

        async def work() -> None:
            await fleet.doom(Death("before the write", 1))
            # both get some, and the one that is doomed dies over its first
            await bus.say([fact(n, job=f"job_{n}") for n in range(JOBS)])
            await fleet.dead.until(1)
            died = time.monotonic()
            assert (await info(bus, HEARD))["num_ack_pending"] > 0
            await settled(bus, HEARD)
            done.add(time.monotonic() - died)

        fleet = Fleet(bus, mortal.url)
        with anyio.fail_after(4 * SOON_S):
            await fleet.run(work)
        # more deliveries than messages: what the dead one had was delivered again
        assert (await info(bus, HEARD))["delivered"]["consumer_seq"] > JOBS
        [after] = done.items
        log.info("a dead worker's jobs were done %.2f s later; ack wait %d s", after, ACK_WAIT_S)


def _long(bus: Bus, of: Any, begun: Seen[str], over: anyio.Event) -> Worker:
    """Return a worker whose every job lasts until ``over``."""

    async def receive(heard: VideoIngested) -> Sequence[Any]:
        begun.add(heard.event_id)
        await over.wait()
        return []

    return worker(bus, of, receive)


async def _pass(bus: Bus, times: int) -> None:
    """Return when the server has taken a message for lost so many times: its clock, not ours."""
    delivered: Seen[Msg] = Seen()

    async def take(message: Msg) -> None:
        if message.data:
            delivered.add(message)

    inbox = bus.new_inbox()
    async with bus.subscribed(inbox, take):
        request = b'{"batch":%d,"expires":%d}' % (times + 1, int(4 * SOON_S * 1e9))
        await bus.send(f"$JS.API.CONSUMER.MSG.NEXT.{EVT}.{CLOCK.name}", request, reply=inbox)
        await delivered.until(times + 1)


async def _no_beat(every_s: float) -> None:
    """Say nothing."""
