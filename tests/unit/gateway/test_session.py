"""A session over a wire that does what a bad client does."""

from __future__ import annotations

from pathlib import Path

import anyio
import msgspec

from gateway.identity import Caller, Role
from gateway.jobs import JobDesk
from gateway.live import Allowance, Session, WireClosedError
from gateway.recent import RecentOrders
from schemas.base import UserId
from schemas.jobs import Job, JobState
from tests.builders import JOB, NOON, TENANT, job_order
from tests.integration.gateway.world import World


class StuckWire:
    """A client that subscribes and then reads nothing."""

    def __init__(self, *commands: str, reads: int = 0) -> None:
        self.commands = list(commands)
        self.reads = reads
        self.sent: list[dict[str, object]] = []
        self.closed: tuple[int, str] | None = None

    async def receive(self) -> str:
        """Return the next command, then none for ever."""
        if self.commands:
            return self.commands.pop(0)
        await anyio.sleep_forever()
        raise AssertionError

    async def send(self, text: str) -> None:
        """Take so many frames, then hang."""
        if len(self.sent) >= self.reads:
            await anyio.sleep_forever()
        self.sent.append(msgspec.json.decode(text))

    async def close(self, code: int, reason: str) -> None:
        """Note the code."""
        self.closed = (code, reason)


class GoneWire(StuckWire):
    """A client whose line breaks at the first frame."""

    async def send(self, text: str) -> None:
        """Find nobody there."""
        raise WireClosedError


def session(world: World, wire: StuckWire) -> Session:
    """Return a session of the job's own user."""
    return Session(
        wire=wire,
        caller=Caller(name="ann", tenant_id=TENANT, user_id=UserId("usr_ann"), role=Role.USER),
        bus=world.bus,
        jobs=JobDesk(bus=world.bus, clock=world.clock, recent=RecentOrders()),
        clock=world.clock,
        settings=world.settings,
    )


def watched(folder: Path, **settings: float) -> World:
    """Return a world with one running job."""
    world = World(folder, **settings)
    world.bus.jobs[JOB] = Job(order=job_order(), state=JobState.INGESTED, created_at=NOON)
    return world


SUBSCRIBE = '{"type":"subscribe","channel":"job:job_1"}'


async def test_a_client_that_reads_nothing_is_closed_as_slow(tmp_path: Path) -> None:
    """Its frames must not pile up in memory; it can resume from its last sequence."""
    world = watched(tmp_path, ws_queue=4, ws_write_s=0.01)
    for number in range(100):
        world.bus.say(JOB, "TESTING", detail=str(number))
    wire = StuckWire(SUBSCRIBE, reads=3)

    await session(world, wire).run()

    assert wire.closed == (4008, "slow")
    assert [one["type"] for one in wire.sent] == ["hb", "snapshot", "state"]
    assert world.bus.watched == set()


async def test_a_client_that_is_gone_ends_its_session_quietly(tmp_path: Path) -> None:
    """There is nobody to close for."""
    world = watched(tmp_path)
    wire = GoneWire(SUBSCRIBE)

    await session(world, wire).run()

    assert wire.closed is None
    assert world.bus.watched == set()


def test_an_allowance_fills_up_again_but_not_beyond_a_second() -> None:
    """A client that was silent for an hour has no hour's commands."""
    allowance = Allowance(2)

    assert [allowance.take(at) for at in (0.0, 0.0, 0.0)] == [True, True, False]
    assert [allowance.take(at) for at in (100.0, 100.0, 100.0)] == [True, True, False]
