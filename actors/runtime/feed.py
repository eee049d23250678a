"""Everything on a subject in order, stored first and then live, without a gap.

An ephemeral push consumer without acknowledgements. It is made anew after a reconnect, after a gap
in its numbering, and after a silence longer than three heartbeats, and goes on behind the last
message that was handled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import anyio

from actors.runtime.errors import ApiError, BusError
from actors.runtime.transport import Received, Transport
from actors.runtime.wire import Delivery

log = logging.getLogger("effectmesh.feed")

Handle = Callable[[Received, Delivery], Awaitable[None]]

HEARTBEAT_S: Final = 2.0
DEAF_S: Final = 3 * HEARTBEAT_S
LAST_SENT: Final = "Nats-Last-Consumer"
STALLED: Final = "Nats-Consumer-Stalled"
RETRY_S: Final = 0.25
INACTIVE_S: Final = 30
"""After so long without us the server forgets the consumer."""


class Feed:
    """One stream's messages for one reader.

    ``start`` is ``all``, or ``newest`` for the last message of each subject and what follows. With
    ``resume`` a new consumer goes on behind the last message; without, it starts over.
    """

    def __init__(
        self,
        *,
        bus: Transport,
        stream: str,
        subject: str,
        start: Literal["all", "newest"] = "all",
        after: int = 0,
        resume: bool = True,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._start = start
        self._after = after
        self._resume = resume
        self._expected = 0
        """The number of the last message, as the consumer counts."""
        self._due = 0
        """How many there were to send when the consumer was made."""
        self._before = -1
        """What ``_expected`` was at the last heartbeat."""
        self._inbox = ""
        self._heard_at = 0.0
        self._stale = anyio.Event()
        self._broken: Exception | None = None
        self._handle: Handle | None = None
        self.caught_up = anyio.Event()
        """Set when everything that was stored at the start has been handled."""

    async def run(self, handle: Handle) -> None:
        """Call ``handle`` for one message after the other until cancelled.

        What ``handle`` raises ends the feed; run again, it begins with the same message. A
        ``BusError`` is taken for an absent broker and tried again at once.
        """
        self._handle = handle
        with self._bus.reconnecting(self._renew):
            while True:
                self._stale, self._broken = anyio.Event(), None
                try:
                    await self._follow()
                except ApiError:
                    raise
                except BusError as away:
                    log.info("following %s: %s", self._subject, away)
                    await anyio.sleep(RETRY_S)

    async def read(self, handle: Handle) -> None:
        """Call ``handle`` for everything that is stored now, and return."""
        async with anyio.create_task_group() as reading:
            reading.start_soon(self.run, handle)
            await self.caught_up.wait()
            reading.cancel_scope.cancel()

    def start_over(self) -> None:
        """Make the consumer anew, as after a reconnect."""
        self._stale.set()

    async def _renew(self) -> None:
        self.start_over()

    async def _follow(self) -> None:
        self._inbox = self._bus.new_inbox()
        self._expected, self._due, self._before = 0, 0, -1
        await self._look_back()
        async with self._bus.subscribed(self._inbox, self._on_message):
            created = await self._bus.api(
                f"CONSUMER.CREATE.{self._stream}",
                {"stream_name": self._stream, "config": self._config()},
            )
            self._heard_at = time.monotonic()
            self._due = created.get("num_pending", 0)
            if not self._due:
                self.caught_up.set()
            while not self._stale.is_set():
                with anyio.move_on_after(HEARTBEAT_S):
                    await self._stale.wait()
                if time.monotonic() - self._heard_at > DEAF_S:
                    return
            if self._broken is not None:
                raise self._broken

    async def _look_back(self) -> None:
        """Start over when the stream counts from one again, as one in memory after a restart."""
        if not (self._resume and self._after):
            return
        info = await self._bus.api(f"STREAM.INFO.{self._stream}")
        if info["state"]["last_seq"] < self._after:
            self._after = 0

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "deliver_subject": self._inbox,
            "deliver_policy": "all" if self._start == "all" else "last_per_subject",
            "filter_subject": self._subject,
            "ack_policy": "none",
            "replay_policy": "instant",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "idle_heartbeat": round(HEARTBEAT_S * 1_000_000_000),
            "inactive_threshold": INACTIVE_S * 1_000_000_000,
            "flow_control": True,
        }
        if self._resume and self._after:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": self._after + 1}
        return config

    def _on_silence(self, headers: Mapping[str, str]) -> None:
        """Start over when the server says that it sent what did not come, or sends nothing."""
        sent = headers.get(LAST_SENT)
        if sent is None or STALLED in headers:
            return
        stuck = self._expected < self._due and self._expected == self._before
        if stuck or int(sent) != self._expected:
            self._stale.set()
        self._before = self._expected

    async def _on_message(self, message: Received) -> None:
        headers = message.headers or {}
        self._heard_at = time.monotonic()
        if headers.get("Status") == "100":
            self._on_silence(headers)
            if message.reply:
                await self._bus.send(message.reply, b"")  # flow control
            elif STALLED in headers:
                await self._bus.send(headers[STALLED], b"")
            return
        if not message.reply or self._handle is None or self._stale.is_set():
            return
        delivery = Delivery.of(message.reply)
        if delivery.consumer_sequence != self._expected + 1:
            self._stale.set()
            return
        self._expected = delivery.consumer_sequence
        try:
            await self._handle(message, delivery)
        except Exception as broken:
            # nats-py would swallow it, and the message with it.
            self._broken = broken
            self._stale.set()
            return
        self._after = delivery.sequence
        if delivery.pending == 0:
            self.caught_up.set()
