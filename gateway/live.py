"""One WebSocket: who it is, which jobs it watches, and what it is told.

A subscription is answered with a snapshot of the job; then come the stored lines after ``since``
and the live ones, each with its sequence in the stream. A client that was cut off subscribes again
with the last sequence it saw and misses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import anyio
import anyio.abc
import msgspec
from msgspec import Struct

from actors.runtime.contract import Clock
from gateway import views
from gateway.errors import AskTimedOutError, BusUnavailableError, Refusal
from gateway.identity import Caller, Tokens
from gateway.ids import is_id
from gateway.jobs import JobDesk
from gateway.outbox import Frame, Outbox, OutboxFullError
from gateway.ports import Bus
from gateway.settings import GatewaySettings
from schemas.jobs import ENDINGS, Job
from schemas.progress import JobProgressed

JOB_CHANNEL: Final = "job:"

CLOSE_UNAUTHENTICATED: Final = 4401
CLOSE_SLOW: Final = 4008
CLOSE_TOO_MANY: Final = 4029
CLOSE_PATIENCE_S: Final = 1.0
"""How long a close frame may take; a client that does not read gets none."""


class WireClosedError(Exception):
    """The client is gone."""


class Wire(Protocol):
    """An accepted WebSocket."""

    async def receive(self) -> str:
        """Return the next text.

        Raises:
            WireClosedError: there will be none.
        """
        ...

    async def send(self, text: str) -> None:
        """Send a text; waits while the client does not read.

        Raises:
            WireClosedError: the client is gone.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say why it ends, and end it."""
        ...


class Auth(Struct, frozen=True, kw_only=True, tag_field="type", tag="auth"):
    """The first message of a client that could send no header."""

    token: str


class Subscribe(Struct, frozen=True, kw_only=True, tag_field="type", tag="subscribe"):
    """Watch a channel, from behind ``since`` on."""

    channel: str
    since: int = 0


class Unsubscribe(Struct, frozen=True, kw_only=True, tag_field="type", tag="unsubscribe"):
    """Watch it no longer."""

    channel: str


_DECODER: Final = msgspec.json.Decoder(Auth | Subscribe | Unsubscribe)
_ENCODER: Final = msgspec.json.Encoder()


class Live:
    """Lets clients in, and runs a session for each."""

    def __init__(
        self,
        *,
        bus: Bus,
        jobs: JobDesk,
        tokens: Tokens,
        clock: Clock,
        settings: GatewaySettings,
    ) -> None:
        self._bus = bus
        self._jobs = jobs
        self._tokens = tokens
        self._clock = clock
        self._settings = settings
        self._seats: dict[tuple[str, str], int] = {}

    async def run(self, wire: Wire, *, token: str) -> None:
        """Serve one client until it goes, or must go. ``token`` is the header's, if it had one."""
        try:
            caller = self._tokens.whose(token or await self._first_message(wire))
            if caller is None:
                await wire.close(CLOSE_UNAUTHENTICATED, "no known token")
                return
            with self._seat(caller) as seated:
                if not seated:
                    await wire.close(CLOSE_TOO_MANY, "too many connections of this user")
                    return
                session = Session(
                    wire=wire,
                    caller=caller,
                    bus=self._bus,
                    jobs=self._jobs,
                    clock=self._clock,
                    settings=self._settings,
                )
                await session.run()
        except WireClosedError:
            return

    async def _first_message(self, wire: Wire) -> str:
        with anyio.move_on_after(self._settings.ws_auth_s):
            try:
                said = _DECODER.decode(await wire.receive())
            except (msgspec.MsgspecError, RecursionError):
                return ""
            return said.token if isinstance(said, Auth) else ""
        return ""

    @contextmanager
    def _seat(self, caller: Caller) -> Iterator[bool]:
        who = (caller.tenant_id, caller.user_id)
        taken = self._seats.get(who, 0)
        if taken >= self._settings.ws_per_user:
            yield False
            return
        self._seats[who] = taken + 1
        try:
            yield True
        finally:
            self._seats[who] -= 1
            if not self._seats[who]:
                del self._seats[who]


class _Channel:
    """A job that is being watched."""

    def __init__(self, job_id: str, since: int) -> None:
        self.job_id = job_id
        self.seq = since
        self.scope = anyio.CancelScope()
        self.seen_ended = False


class Session:
    """One authenticated client."""

    def __init__(
        self,
        *,
        wire: Wire,
        caller: Caller,
        bus: Bus,
        jobs: JobDesk,
        clock: Clock,
        settings: GatewaySettings,
    ) -> None:
        self._wire = wire
        self._caller = caller
        self._bus = bus
        self._jobs = jobs
        self._clock = clock
        self._settings = settings
        self._outbox = Outbox(settings.ws_queue)
        self._allowance = Allowance(settings.ws_commands_per_s)
        self._channels: dict[str, _Channel] = {}
        self._goodbye: tuple[int, str] | None = None
        self._group: anyio.abc.TaskGroup

    async def run(self) -> None:
        """Read, write and beat until the client goes, or must go."""
        async with anyio.create_task_group() as self._group:
            self._group.start_soon(self._read)
            self._group.start_soon(self._write)
            self._group.start_soon(self._beat)
        if self._goodbye is not None:
            with anyio.move_on_after(CLOSE_PATIENCE_S):
                await self._wire.close(*self._goodbye)

    async def _read(self) -> None:
        while True:
            try:
                text = await self._wire.receive()
            except WireClosedError:
                self._group.cancel_scope.cancel()
                return
            if not self._allowance.take(anyio.current_time()):
                self._part(CLOSE_TOO_MANY, "too many commands")
                return
            self._obey(text)

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.take()
            with anyio.move_on_after(self._settings.ws_write_s) as patience:
                try:
                    await self._wire.send(_ENCODER.encode(frame).decode())
                except WireClosedError:
                    self._group.cancel_scope.cancel()
                    return
            if patience.cancelled_caught:
                self._part(CLOSE_SLOW, "slow")
                return

    async def _beat(self) -> None:
        """Say that all is well, and notice jobs whose last line was lost on the way."""
        while True:
            self._put_if_room(Frame(channel="", seq=0, ts=self._clock.now(), type="hb"))
            await anyio.sleep(self._settings.ws_heartbeat_s)
            for name, channel in list(self._channels.items()):
                await self._check_ended(name, channel)

    async def _check_ended(self, name: str, channel: _Channel) -> None:
        try:
            job, _ = await self._jobs.find(self._caller, channel.job_id)
        except (Refusal, BusUnavailableError, AskTimedOutError):
            return
        if job.state not in ENDINGS or self._channels.get(name) is not channel:
            return
        if not channel.seen_ended:
            channel.seen_ended = True  # the line may be on its way: give it one more beat
            return
        del self._channels[name]
        channel.scope.cancel()
        await self._put(self._ending(name, channel.seq, job))

    def _obey(self, text: str) -> None:
        try:
            said = _DECODER.decode(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            hint = "send {'type':'subscribe','channel':'job:<job id>','since':0} or the like"
            self._put_error("", 400, "INVALID_COMMAND", str(error), hint)
            return
        if isinstance(said, Subscribe):
            self._subscribe(said)
        elif isinstance(said, Unsubscribe):
            channel = self._channels.pop(said.channel, None)
            if channel is not None:
                channel.scope.cancel()

    def _subscribe(self, said: Subscribe) -> None:
        name, job_id = said.channel, said.channel.removeprefix(JOB_CHANNEL)
        if job_id == name or not is_id(job_id):
            hint = "channels are called job:<job id>"
            self._put_error(name, 404, "UNKNOWN_CHANNEL", f"there is no channel {name!r}", hint)
        elif name in self._channels:
            hint = "unsubscribe first"
            self._put_error(name, 409, "SUBSCRIBED_ALREADY", f"{name} is watched already", hint)
        elif len(self._channels) >= self._settings.ws_channels:
            limit = self._settings.ws_channels
            hint = "unsubscribe from another channel first"
            self._put_error(name, 429, "TOO_MANY_CHANNELS", f"{limit} channels at most", hint)
        else:
            channel = _Channel(job_id, max(said.since, 0))
            self._channels[name] = channel
            self._group.start_soon(self._follow, name, channel)

    async def _follow(self, name: str, channel: _Channel) -> None:
        try:
            with channel.scope:
                await self._tell(name, channel)
        except Refusal as refusal:
            self._put_error(name, refusal.status, refusal.code, refusal.detail, refusal.hint)
        except (BusUnavailableError, AskTimedOutError):
            hint = "subscribe again in a moment with the last seq"
            self._put_error(name, 503, "BUS_UNAVAILABLE", "progress cannot be had now", hint)
        finally:
            if self._channels.get(name) is channel:
                del self._channels[name]

    async def _tell(self, name: str, channel: _Channel) -> None:
        job, revision = await self._jobs.find(self._caller, channel.job_id)
        shown = views.job_view(job, revision=revision, caller=self._caller)
        now = self._clock.now()
        snapshot = Frame(channel=name, seq=channel.seq, ts=now, type="snapshot", data=shown)
        await self._put(snapshot)
        if job.state in ENDINGS:
            await self._put(self._ending(name, channel.seq, job))
            return
        following = self._bus.follow_progress(
            job.order.tenant_id, channel.job_id, after=channel.seq
        )
        async with following as lines:
            await self._pass_on(name, channel, lines)

    async def _pass_on(
        self, name: str, channel: _Channel, lines: AsyncIterator[tuple[int, JobProgressed]]
    ) -> None:
        async for seq, line in lines:
            channel.seq = seq
            kind = "end" if line.final else "state" if line.percent is None else "progress"
            data = _shown(line)
            frame = Frame(channel=name, seq=seq, ts=line.timestamp, type=kind, data=data)
            if kind == "progress":
                self._outbox.put_merging(frame, key=f"{name} {line.task_id} {line.stage}")
                continue
            await self._put(frame)
            if line.final:
                return

    def _ending(self, name: str, seq: int, job: Job) -> Frame:
        data = {"stage": job.state, "detail": job.reason, "code": job.code}
        return Frame(channel=name, seq=seq, ts=job.updated_at, type="end", data=data)

    async def _put(self, frame: Frame) -> None:
        with anyio.move_on_after(self._settings.ws_write_s) as patience:
            await self._outbox.put_when_room(frame)
        if patience.cancelled_caught:
            self._part(CLOSE_SLOW, "slow")

    def _put_if_room(self, frame: Frame) -> None:
        with suppress(OutboxFullError):
            self._outbox.put(frame)

    def _put_error(self, channel: str, status: int, code: str, detail: str, hint: str) -> None:
        data = {"status": status, "code": code, "detail": detail, "hint": hint}
        frame = Frame(channel=channel, seq=0, ts=self._clock.now(), type="error", data=data)
        try:
            self._outbox.put(frame)
        except OutboxFullError:
            self._part(CLOSE_SLOW, "slow")

    def _part(self, code: int, reason: str) -> None:
        self._goodbye = self._goodbye or (code, reason)
        self._group.cancel_scope.cancel()


class Allowance:
    """So many commands a second, and as many at once.

    >>> allowance = Allowance(2)
    >>> [allowance.take(at) for at in (0.0, 0.0, 0.0, 0.5)]
    [True, True, False, True]
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Use one up, if one is left at ``now`` seconds."""
        if self._at is not None:
            gained = (now - self._at) * self._per_second
            self._left = min(self._left + gained, float(self._per_second))
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _shown(line: JobProgressed) -> dict[str, object]:
    shown: dict[str, object] = {
        "stage": line.stage,
        "detail": line.detail,
        "task_id": line.task_id,
        "provider_id": line.provider_id,
    }
    if line.percent is not None:
        shown |= {"percent": line.percent, "node": line.node}
    return shown
