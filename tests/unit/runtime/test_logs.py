"""The action-oriented log: no warning without a price and a remedy, and never in the way."""

from __future__ import annotations

import ast
import inspect
import logging
import random
from collections.abc import Iterator
from typing import Any, get_type_hints

import anyio
import msgspec
import pytest

from actors.runtime import logs, reports
from actors.runtime.answering import Answering
from actors.runtime.contract import FrozenClock
from actors.runtime.errors import BusUnavailableError
from actors.runtime.host import GaveUpError, supervised
from actors.runtime.logs import NOBODY, About, ActionLog, Counted, Tally
from schemas.base import JobId, Module, TenantId
from schemas.commands import Wake
from schemas.logs import (
    Category,
    Critical,
    EconomicImpact,
    Error,
    LogRecord,
    Observed,
    OperatorAction,
    Runbook,
    Warn,
)
from subjects.topology import Consumer
from tests.architecture.tree import ROOT, parsed, place, sources
from tests.builders import NOON
from tests.unit.runtime.fakes import wake
from tests.unit.runtime.test_tracing import Delivered

IMPACT = EconomicImpact(type="STEP_LOST", description="one step", affected_jobs=1)
ACTION = OperatorAction(
    classification="TEST",
    urgency="MONITOR",
    suggested_runbook_url=Runbook.DEAD_LETTERS,
    suggested_action="look",
)
RUNBOOK = "/runbooks/"


class _Bus:
    """Takes records, or is closed."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, LogRecord, dict[str, str]]] = []
        self.closed = False

    async def send(
        self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Take one."""
        await anyio.lowlevel.checkpoint()
        if self.closed:
            raise BusUnavailableError(subject, after_s=0)
        record: LogRecord = msgspec.json.decode(data, type=LogRecord)
        self.sent.append((subject, record, headers or {}))


def log_on(bus: _Bus | None = None) -> ActionLog:
    """Return a log of Gallery."""
    return ActionLog(module=Module.GALLERY, clock=FrozenClock(NOON), bus=bus)


async def flush(journal: ActionLog) -> None:
    """Run a log for as long as it has something to publish."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.run)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_a_warning_is_a_record_on_the_bus_and_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The one for tools, the other for whoever looks at the process."""
    bus = _Bus()
    journal = log_on(bus)
    journal.warn(
        Observed.STORE_AWAY,
        impact=IMPACT,
        action=ACTION,
        details={"message": "it is away", "messages": 3},
        about=wake("evt_1"),
    )
    await flush(journal)

    [(subject, record, headers)] = bus.sent
    assert subject == "log.operational.gallery.WARN"
    assert isinstance(record, Warn)
    assert (record.economic_impact, record.operator_action) == (IMPACT, ACTION)
    assert (record.correlation_id, record.tenant_id) == ("job_1", "tnt_1")
    assert (record.timestamp, record.source_module) == (NOON, Module.GALLERY)
    assert record.details == {"message": "it is away", "messages": 3}
    assert headers["Nats-Msg-Id"] == f"operational:{record.event_id}"
    [line] = caplog.records
    assert (line.name, line.levelname) == ("effectmesh.gallery", "WARNING")
    assert line.message == "it is away; see /runbooks/dead-letters"


@pytest.mark.parametrize("severity", ["warn", "error", "critical"])
def test_nothing_above_info_type_checks_without_impact_and_action(severity: str) -> None:
    """Neither has a default, and neither may be ``None``."""
    method = getattr(ActionLog, severity)
    parameters = inspect.signature(method).parameters
    hints = get_type_hints(method)

    for name, kind in (("impact", EconomicImpact), ("action", OperatorAction)):
        assert parameters[name].default is inspect.Parameter.empty
        assert hints[name] is kind


@pytest.mark.parametrize("kind", [Warn, Error, Critical])
@pytest.mark.parametrize("missing", ["economic_impact", "operator_action"])
def test_nothing_above_info_can_be_built_without_impact_and_action(
    kind: type[Warn], missing: str
) -> None:
    """A cast or an untyped caller would get around the type checker."""
    known: dict[str, Any] = {
        "timestamp": NOON,
        "event_id": "log_1",
        "source_module": "gallery",
        "event_type": "X",
        "economic_impact": IMPACT,
        "operator_action": ACTION,
    }
    assert kind(**known).event_type == "X"
    with pytest.raises(TypeError, match="needs an"):
        kind(**known | {missing: None})
    del known[missing]
    with pytest.raises(TypeError, match=missing):
        kind(**known)


async def test_below_warn_a_record_needs_neither() -> None:
    """What has no impact is debug."""
    bus = _Bus()
    journal = log_on(bus)
    journal.debug(Observed.PART_RESTARTED, details={})
    journal.info(Observed.PART_RESTARTED, details={})
    await flush(journal)

    assert [subject.rpartition(".")[2] for subject, _, _ in bus.sent] == ["DEBUG", "INFO"]


async def test_figures_go_to_the_admin_panel_and_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What Grafana or a log file shows, everybody sees."""
    bus = _Bus()
    journal = log_on(bus)
    dear = msgspec.structs.replace(
        IMPACT, estimated_cost_usd=2.4, estimated_revenue_impact_usd=7.25
    )
    journal.error(Observed.DEAD_LETTER, impact=dear, action=ACTION, details={"message": "gone"})
    await flush(journal)

    found = {subject: record for subject, record, _ in bus.sent}
    assert set(found) == {"log.business.gallery.ERROR", "log.operational.gallery.ERROR"}
    business, operational = (found[each] for each in sorted(found))
    assert isinstance(business, Error)
    assert isinstance(operational, Error)
    assert business.economic_impact == dear
    assert operational.economic_impact == IMPACT
    assert business.event_id == operational.event_id
    assert len({headers["Nats-Msg-Id"] for _, _, headers in bus.sent}) == 2
    assert "2.4" not in caplog.text
    assert "7.25" not in caplog.text


async def test_a_business_record_is_said_once_and_whole() -> None:
    """There is nobody to hide it from on that subject."""
    bus = _Bus()
    journal = log_on(bus)
    dear = msgspec.structs.replace(IMPACT, estimated_cost_usd=2.4)
    journal.warn(
        Observed.DEAD_LETTER, impact=dear, action=ACTION, details={}, category=Category.BUSINESS
    )
    await flush(journal)

    [(subject, record, _)] = bus.sent
    assert subject == "log.business.gallery.WARN"
    assert isinstance(record, Warn)
    assert record.economic_impact == dear


async def test_a_full_queue_drops_the_record_and_keeps_the_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Saying never waits: it is called between a message and its answer."""
    monkeypatch.setattr(logs, "QUEUED", 2)
    bus = _Bus()
    journal = log_on(bus)
    for _ in range(5):
        journal.warn(Observed.DEAD_LETTER, impact=IMPACT, action=ACTION, details={})
    await flush(journal)

    assert (len(bus.sent), journal.dropped, len(caplog.records)) == (2, 3, 5)


async def test_a_closed_connection_costs_the_record_and_no_more() -> None:
    """The process ends anyway; its log must not be what it fails by."""
    bus = _Bus()
    bus.closed = True
    journal = log_on(bus)
    journal.warn(Observed.DEAD_LETTER, impact=IMPACT, action=ACTION, details={})
    await flush(journal)

    assert journal.dropped == 1


def test_trouble_that_every_message_meets_is_said_now_and_then() -> None:
    """A store that is away for a minute is no thousand records, and no job is forgotten."""
    now = 0.0
    tally = Tally(monotonic=lambda: now)

    assert tally.add(About(JobId("job_1"), TenantId("tnt_1"))) == Counted(1, 1, 1)
    for n in (1, 1, 2, 3):
        now += 1.0
        assert tally.add(About(f"job_{n}", f"tnt_{n % 2}")) is None
    now = logs.SAID_AGAIN_S
    assert tally.add(NOBODY) == Counted(5, 3, 2)
    assert tally.add(NOBODY) is None


def test_a_tally_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours without a database, and a new job every second."""
    monkeypatch.setattr(logs, "COUNTED", 3)
    now = 0.0
    tally = Tally(monotonic=lambda: now)
    tally.add(NOBODY)
    for n in range(10):
        tally.add(About(f"job_{n}", "tnt_1"))
    now = 2 * logs.SAID_AGAIN_S

    assert tally.add(NOBODY) == Counted(11, 3, 1)


class _Away(Exception):
    """A store that does not answer."""


class _Quiet(_Bus):
    """Takes what an actor answers, too."""

    async def say(self, said: Any) -> None:
        """Take it."""

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Take a dead letter."""

    async def send(self, subject: str, data: bytes, **more: Any) -> None:
        """Take a record; forget the answer to a message."""
        if not subject.startswith("$JS"):
            await super().send(subject, data, **more)


@pytest.mark.parametrize(
    ("error", "body", "what"),
    [
        (ValueError("odd"), None, Observed.HANDLER_FAILED),
        (_Away("no route"), None, Observed.STORE_AWAY),
        (BusUnavailableError("evt", after_s=1), None, Observed.SAYING_FAILED),
        (None, b"garbage", Observed.DEAD_LETTER),
    ],
)
async def test_what_happens_to_a_message_is_said_with_its_job(
    error: Exception | None, body: bytes | None, what: Observed
) -> None:
    """An operator sees how many people wait, and what to do about it."""

    async def receive(_: Any) -> list[Any]:
        assert error is not None
        raise error

    bus = _Quiet()
    journal = log_on(bus)
    answering = Answering(
        bus=bus,  # type: ignore[arg-type]
        module=Module.GALLERY,
        decoder=msgspec.json.Decoder(Wake),
        receive=receive,
        dice=random.Random(1),
        away=(_Away,),
        log=journal,
    )
    message: Any = Delivered(
        subject="due.gallery.tnt_1.job_1.deadline",
        data=body or msgspec.json.encode(wake("evt_1")),
    )
    consumer = Consumer(stream="TIMER", name="gallery", filters=(), description="a test")
    for _ in range(2):
        answering.begin(message)
        await answering.answer(message, consumer)
    await flush(journal)

    records = [record for _, record, _ in bus.sent]
    once = what in (Observed.STORE_AWAY, Observed.SAYING_FAILED)
    assert [each.event_type for each in records] == [what] * (1 if once else 2)
    for each in records:
        assert isinstance(each, Warn)
        assert each.economic_impact.affected_jobs == 1
        assert each.economic_impact.estimated_cost_usd == 0
        assert reports.UNKNOWN in each.economic_impact.description


async def test_a_part_that_fails_and_then_gives_up_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The last record is the one that gets somebody out of bed."""
    monkeypatch.setattr("actors.runtime.host.RESTART_WAIT_S", 0.0)
    monkeypatch.setattr("actors.runtime.host.RESTARTS", 3)
    bus = _Bus()
    journal = log_on(bus)

    async def fails() -> None:
        raise ValueError("odd")

    with pytest.raises(GaveUpError):
        await supervised("part", fails, journal=journal)
    await flush(journal)

    assert [(record.event_type, type(record).__name__) for _, record, _ in bus.sent] == [
        (Observed.PART_RESTARTED, "Error"),
        (Observed.PART_RESTARTED, "Error"),
        (Observed.PART_GAVE_UP, "Critical"),
    ]
    assert all(line.exc_info for line in caplog.records if line.levelno >= logging.ERROR)


def _runbooks() -> Iterator[tuple[str, str]]:
    """Yield every runbook that the source names, with where it does."""
    for path in sources():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Constant) and str(node.value).startswith(RUNBOOK):
                yield str(node.value), place(path, node)


def test_every_runbook_that_a_record_names_is_a_page() -> None:
    """Whoever is woken at night follows that link."""
    named = list(_runbooks())
    pages = ROOT / "docs" / "runbooks"
    missing = [
        f"{where} {url}"
        for url, where in named
        if not (pages / f"{url.removeprefix(RUNBOOK)}.md").is_file()
    ]

    assert {each.value for each in Runbook} <= {url for url, _ in named}
    assert missing == []


def test_every_action_names_its_runbook_as_a_member_of_the_list() -> None:
    """A page that is put together at run time could not be checked above."""
    spelt = [
        place(path, node)
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == OperatorAction.__name__
        and not _runbook_of(node).startswith(f"{Runbook.__name__}.")
    ]

    assert spelt == []


def _runbook_of(call: ast.Call) -> str:
    found = {each.arg: ast.unparse(each.value) for each in call.keywords}
    return found.get("suggested_runbook_url", "")
