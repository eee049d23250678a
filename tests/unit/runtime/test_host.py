"""What breaks is started again; what keeps breaking ends the process."""

from __future__ import annotations

import msgspec
import pytest

from actors.runtime import host
from actors.runtime.errors import DriftError
from actors.runtime.host import GaveUpError, consumers_of, decoder_of, supervised
from schemas.base import Module
from subjects.topology import HEARS, OBEYS, WAKES, topology
from tests.contract.messages.examples import GOLDEN


class _Part:
    """Fails as often as it is told to, then returns."""

    def __init__(self, failures: int, error: type[Exception] = ValueError) -> None:
        self.left = failures
        self.runs = 0
        self._error = error

    async def run(self) -> None:
        """Fail or return."""
        self.runs += 1
        if self.left:
            self.left -= 1
            raise self._error(["it broke"])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "RESTART_WAIT_S", 0.0)


async def test_what_breaks_is_started_again() -> None:
    """One bad moment must not take a module away for good."""
    part = _Part(host.RESTARTS - 1)

    await supervised("part", part.run)

    assert part.runs == host.RESTARTS


async def test_what_keeps_breaking_ends_the_process() -> None:
    """A part that restarts for ever looks alive and does nothing."""
    part = _Part(host.RESTARTS + 5)

    with pytest.raises(GaveUpError, match="part failed 8 times") as gave_up:
        await supervised("part", part.run)

    assert part.runs == host.RESTARTS
    assert isinstance(gave_up.value.__cause__, ValueError)


async def test_failures_far_apart_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight failures in a year are no reason to stop."""
    monkeypatch.setattr(host, "QUIET_S", -1.0)
    part = _Part(host.RESTARTS * 3)

    await supervised("part", part.run)

    assert part.left == 0


async def test_a_wrong_topology_is_not_tried_again() -> None:
    """Somebody has to apply it; until then the process must not pretend to work."""
    part = _Part(1, DriftError)

    with pytest.raises(DriftError):
        await supervised("part", part.run)

    assert part.runs == 1


@pytest.mark.parametrize("module", sorted({*HEARS, *OBEYS}))
def test_a_module_decodes_what_it_is_delivered_and_nothing_else(module: Module) -> None:
    """Its consumers deliver facts, commands and timers; a stranger is poison."""
    decoder = decoder_of(module)
    known = {*HEARS.get(module, ()), *OBEYS.get(module, ())}
    names = {kind.__name__ for kind in known} | ({"Wake"} if module in WAKES else set())

    for name in names:
        heard = decoder.decode((GOLDEN / f"{name}.json").read_bytes())
        assert type(heard).__name__ == name
    with pytest.raises(msgspec.ValidationError):
        decoder.decode((GOLDEN / "TelemetryPacket.json").read_bytes())


def test_a_module_has_one_consumer_for_each_stream_it_hears() -> None:
    """Facts, commands and timers come from three streams."""
    found = consumers_of(Module.ORCHESTRATOR, topology())

    assert sorted(each.stream for each in found) == ["CMD", "EVT", "TIMER"]
