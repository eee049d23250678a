"""Says what happened, what it costs and what to do: on the bus for tools, on a line for people.

``warn``, ``error`` and ``critical`` take an impact and an action, or they do not type-check. Saying
never blocks: a full queue drops the record, and the line is written all the same.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, TypedDict

import anyio
from msgspec import Struct, structs

from actors.runtime.contract import Clock
from actors.runtime.errors import BusError
from actors.runtime.follow import new_id
from actors.runtime.tracing import carried
from actors.runtime.wire import MSG_ID, SCHEMA, encode
from schemas.base import Message, Module
from schemas.logs import (
    Category,
    Critical,
    Debug,
    Detail,
    EconomicImpact,
    Error,
    Info,
    LogRecord,
    Observed,
    OperatorAction,
    Warn,
)
from subjects import build

QUEUED: Final = 256
FLUSH_S: Final = 1.0
"""What the records of the last moment may take when the process ends."""
SAID_AGAIN_S: Final = 10.0
"""How often the same trouble is said."""
COUNTED: Final = 4096
"""Jobs that one record counts apart."""

_LEVELS: Final[Mapping[type[Debug], int]] = {
    Debug: logging.DEBUG,
    Info: logging.INFO,
    Warn: logging.WARNING,
    Error: logging.ERROR,
    Critical: logging.CRITICAL,
}


class About(Struct, frozen=True):
    """The job and tenant a record is about, when there is no message that says them."""

    correlation_id: str = ""
    tenant_id: str = ""


Subject = Message | About
NOBODY: Final = About()


class Sends(Protocol):
    """A connection that can write without waiting."""

    async def send(
        self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Write one message, or drop it while the broker is away.

        Raises:
            BusUnavailableError: the connection is closed for good.
        """
        ...


class _Header(TypedDict):
    timestamp: datetime
    event_id: str
    source_module: str
    event_type: str
    correlation_id: str
    tenant_id: str
    details: dict[str, Detail]


class ActionLog:
    """One module's log. Without a bus there is only the line."""

    def __init__(self, *, module: Module, clock: Clock, bus: Sends | None = None) -> None:
        self._module = module
        self._clock = clock
        self._bus = bus
        self._lines = logging.getLogger(f"effectmesh.{module}")
        self._records: deque[tuple[str, bytes, dict[str, str]]] = deque()
        self._more = anyio.Event()
        self.dropped = 0

    def debug(
        self, what: Observed, *, details: Mapping[str, Detail], about: Subject = NOBODY
    ) -> None:
        """Say something that has no impact."""
        self._say(Debug(**self._header(what, details, about)), Category.OPERATIONAL)

    def info(
        self, what: Observed, *, details: Mapping[str, Detail], about: Subject = NOBODY
    ) -> None:
        """Say something worth knowing."""
        self._say(Info(**self._header(what, details, about)), Category.OPERATIONAL)

    def warn(
        self,
        what: Observed,
        *,
        impact: EconomicImpact,
        action: OperatorAction,
        details: Mapping[str, Detail],
        about: Subject = NOBODY,
        category: Category = Category.OPERATIONAL,
    ) -> None:
        """Say something that costs money and can be acted on."""
        header = self._header(what, details, about)
        self._say(Warn(**header, economic_impact=impact, operator_action=action), category)

    def error(
        self,
        what: Observed,
        *,
        impact: EconomicImpact,
        action: OperatorAction,
        details: Mapping[str, Detail],
        about: Subject = NOBODY,
        category: Category = Category.OPERATIONAL,
        bug: BaseException | None = None,
    ) -> None:
        """Say that something failed. The line has the traceback of ``bug``."""
        header = self._header(what, details, about)
        self._say(Error(**header, economic_impact=impact, operator_action=action), category, bug)

    def critical(
        self,
        what: Observed,
        *,
        impact: EconomicImpact,
        action: OperatorAction,
        details: Mapping[str, Detail],
        about: Subject = NOBODY,
        category: Category = Category.OPERATIONAL,
        bug: BaseException | None = None,
    ) -> None:
        """Say something that must be acted on now. The line has the traceback of ``bug``."""
        header = self._header(what, details, about)
        self._say(Critical(**header, economic_impact=impact, operator_action=action), category, bug)

    async def run(self) -> None:
        """Publish until cancelled, and then what is left. What cannot be published is gone."""
        try:
            while True:
                await self._publish()
                self._more = anyio.Event()
                await self._more.wait()
        finally:
            with anyio.move_on_after(FLUSH_S, shield=True):
                await self._publish()

    async def _publish(self) -> None:
        while self._records and self._bus is not None:
            subject, data, headers = self._records[0]
            try:
                await self._bus.send(subject, data, headers=headers)
            except BusError:
                self.dropped += 1
            # Only now: one that is cut off while it is sent is sent again, and stored once.
            self._records.popleft()

    def _header(self, what: Observed, details: Mapping[str, Detail], about: Subject) -> _Header:
        now = self._clock.now()
        return _Header(
            timestamp=now,
            event_id=new_id("log", now),
            source_module=self._module,
            event_type=what,
            correlation_id=about.correlation_id,
            tenant_id=about.tenant_id,
            details=dict(details),
        )

    def _say(self, record: LogRecord, category: Category, bug: BaseException | None = None) -> None:
        self._lines.log(_LEVELS[type(record)], "%s", line_of(record), exc_info=bug)
        for said, where in apart(record, category):
            self._queue(said, where)

    def _queue(self, record: LogRecord, category: Category) -> None:
        if self._bus is None:
            return
        if len(self._records) >= QUEUED:
            self.dropped += 1
            return
        severity = type(record).__name__.upper()
        subject = build.log(category, self._module, severity)
        # A record that is said twice, with figures and without, is two messages.
        headers = {MSG_ID: f"{category}:{record.event_id}", SCHEMA: type(record).__name__}
        self._records.append((subject, encode(record), {**headers, **carried()}))
        self._more.set()


def apart(record: LogRecord, category: Category) -> Sequence[tuple[LogRecord, Category]]:
    """Return a record with where it goes. Figures go to the admin panel and nowhere else."""
    if not isinstance(record, Warn) or category is Category.BUSINESS:
        return [(record, category)]
    impact = record.economic_impact
    if not impact.estimated_cost_usd and not impact.estimated_revenue_impact_usd:
        return [(record, category)]
    without = structs.replace(impact, estimated_cost_usd=0.0, estimated_revenue_impact_usd=0.0)
    return [
        (record, Category.BUSINESS),
        (structs.replace(record, economic_impact=without), category),
    ]


def line_of(record: LogRecord) -> str:
    """Return a record as a line: what happened and where to read on, but no figures."""
    line = str(record.details.get("message") or record.event_type)
    if isinstance(record, Warn):
        line += f"; see {record.operator_action.suggested_runbook_url}"
    return line


class Counted(Struct, frozen=True):
    """How much was seen of one trouble since it was last said."""

    messages: int
    jobs: int
    tenants: int


class Tally:
    """Counts trouble that every message meets, so that it is said now and then, not every time."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said_at = -SAID_AGAIN_S
        self._messages = 0
        self._jobs: set[str] = set()
        self._tenants: set[str] = set()

    def add(self, about: Subject) -> Counted | None:
        """Count one message; return the count when it is to be said, at once the first time."""
        self._messages += 1
        if about.correlation_id and len(self._jobs) < COUNTED:
            self._jobs.add(about.correlation_id)
            self._tenants.add(about.tenant_id)
        now = self._monotonic()
        if now - self._said_at < SAID_AGAIN_S:
            return None
        counted = Counted(self._messages, len(self._jobs), len(self._tenants))
        self._said_at, self._messages = now, 0
        self._jobs.clear()
        self._tenants.clear()
        return counted
