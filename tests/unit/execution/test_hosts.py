"""Which host has to stand aside, for how long, and who is not to blame."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from actors.execution import hosts
from actors.execution.hosts import COOL_DOWN, COOL_DOWN_LIMIT, HOSTS_LIMIT, WINDOW, Hosts
from actors.runtime.contract import Put
from actors.runtime.wire import outgoing
from schemas.base import ProviderId
from schemas.events import HostQuarantined
from schemas.failures import FailureClass
from schemas.hosts import Quarantine
from tests.builders import NOON, attempt_finished

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
A, B = ProviderId("fx-a"), ProviderId("fx-b")


class Fleet:
    """Hosts that report, and what is decided about them. Its state goes through the wire."""

    def __init__(self) -> None:
        self.at = NOON
        self.writes = 0
        self.notices: list[Quarantine] = []
        self._state: Hosts | None = None
        self._number = 0

    @property
    def state(self) -> Hosts:
        """What is remembered."""
        return self._state or Hosts()

    def lose(
        self,
        host: str,
        *,
        task: str = "",
        provider: ProviderId = A,
        failure_class: FailureClass = FailureClass.HOST_LOST,
    ) -> bool:
        """Let a host fail at a task, another one each time; say whether it has to stand aside."""
        self._number += 1
        return self._hear(
            host,
            task_id=task or f"task_{self._number}",
            provider_id=provider,
            succeeded=False,
            failure_class=failure_class,
        )

    def succeed(self, host: str, provider: ProviderId = A) -> None:
        """Let a host succeed."""
        self._number += 1
        self._hear(host, task_id=f"task_{self._number}", provider_id=provider, succeeded=True)

    def aside(self) -> set[str]:
        """Return who has to stand aside now."""
        return {each.host for each in self.notices if each.until > self.at}

    def _hear(self, host: str, **changes: object) -> bool:
        self.at += SECOND
        heard = attempt_finished(f"evt_{self._number}", host=host, **changes)  # type: ignore[arg-type]
        step = hosts.hear(self._state, heard, at=self.at)
        if step is None:
            return False
        self.writes += 1
        self._state = msgspec.json.decode(msgspec.json.encode(step.state), type=Hosts)
        said = [each.payload for each in step.said if isinstance(each, HostQuarantined)]
        self.notices += said
        return bool(said)


def test_three_losses_of_different_tasks_and_a_host_stands_aside() -> None:
    """Two may be chance; a fourth render would be thrown away."""
    fleet = Fleet()

    assert [fleet.lose("gpu-1") for _ in range(3)] == [False, False, True]
    [notice] = fleet.notices
    assert (notice.host, notice.times) == ("gpu-1", 1)
    assert notice.until - notice.since == COOL_DOWN
    assert notice.reason == "3 tasks lost: HOST_LOST"


def test_agents_read_it_under_a_key_and_others_hear_of_it() -> None:
    """A host's address is no subject token by itself."""
    state = Hosts()
    for n in range(3):
        heard = attempt_finished(
            f"evt_{n}",
            task_id=f"task_{n}",
            host="10.0.0.7:8188",
            succeeded=False,
            failure_class=FailureClass.HOST_LOST,
        )
        step = hosts.hear(state, heard, at=NOON)
        assert step is not None
        state = step.state

    entry, said = step.said
    assert isinstance(entry, Put)
    assert outgoing(entry).subject == "$KV.CONTROL.quarantine.10-0-0-7-8188-f71b4903"
    assert msgspec.json.decode(entry.value, type=Quarantine).host == "10.0.0.7:8188"
    assert outgoing(said).subject == "evt.execution.HostQuarantined.tnt_1.job_1"


@pytest.mark.parametrize(
    "failure_class",
    [
        each
        for each in FailureClass
        if each not in (FailureClass.HOST_LOST, FailureClass.OUT_OF_MEMORY)
    ],
)
def test_what_is_not_the_hosts_never_counts(failure_class: FailureClass) -> None:
    """Bad clips come in batches, and would take away the whole fleet."""
    fleet = Fleet()
    for _ in range(20):
        fleet.lose("gpu-1", failure_class=failure_class)

    assert fleet.notices == []
    assert fleet.writes == 0


def test_one_task_that_fails_again_and_again_counts_once() -> None:
    """A redelivered or retried poison task must not send its host away."""
    fleet = Fleet()
    for _ in range(10):
        fleet.lose("gpu-1", task="task_poison")

    assert fleet.notices == []


def test_a_success_in_between_makes_it_a_host_like_any_other() -> None:
    """A host that loses one render in ten is no host to send away."""
    fleet = Fleet()
    for _ in range(5):
        fleet.lose("gpu-1")
        fleet.lose("gpu-1")
        fleet.succeed("gpu-1")

    assert fleet.notices == []


def test_losses_of_long_ago_do_not_count() -> None:
    """Three in a week are no reason."""
    fleet = Fleet()
    for _ in range(5):
        fleet.lose("gpu-1")
        fleet.at += WINDOW / 2

    assert fleet.notices == []


def test_the_cool_down_doubles_up_to_a_limit() -> None:
    """A host that is broken for good is asked once an hour."""
    fleet = Fleet()
    for _ in range(3):
        fleet.lose("gpu-1")
    for _ in range(9):
        fleet.at = fleet.notices[-1].until
        assert fleet.lose("gpu-1"), "one loss is enough for a host that has just come back"

    lengths = [each.until - each.since for each in fleet.notices]
    assert lengths[:4] == [COOL_DOWN, 2 * COOL_DOWN, 4 * COOL_DOWN, 8 * COOL_DOWN]
    assert max(lengths) == COOL_DOWN_LIMIT
    assert [each.times for each in fleet.notices] == list(range(1, 11))


def test_a_success_after_the_cool_down_forgets_everything() -> None:
    """The next time it begins with a minute again, and after three losses."""
    fleet = Fleet()
    for _ in range(3):
        fleet.lose("gpu-1")
    fleet.at = fleet.notices[-1].until
    fleet.succeed("gpu-1")

    assert fleet.state.hosts == {}
    assert [fleet.lose("gpu-1") for _ in range(3)] == [False, False, True]
    assert fleet.notices[-1].times == 1


def test_what_was_begun_before_neither_prolongs_nor_ends_it() -> None:
    """Other slots of the host report while it stands aside already."""
    fleet = Fleet()
    for _ in range(3):
        fleet.lose("gpu-1")
    fleet.lose("gpu-1")
    fleet.succeed("gpu-1")

    assert len(fleet.notices) == 1
    assert fleet.aside() == {"gpu-1"}
    fleet.at = fleet.notices[-1].until
    assert fleet.lose("gpu-1"), "it is still on probation"


def test_a_task_that_takes_down_three_hosts_counts_against_none() -> None:
    """It is the task, and whoever is next would be lost as well."""
    fleet = Fleet()
    for host in ("gpu-1", "gpu-2", "gpu-3"):
        fleet.succeed(host)
    for poison in ("poison_1", "poison_2", "poison_3", "poison_4"):
        for host in ("gpu-1", "gpu-2", "gpu-3"):
            fleet.lose(host, task=poison, provider=B)
        fleet.succeed("gpu-4", provider=B)

    assert fleet.notices == []


def test_a_provider_that_takes_hosts_down_does_not_send_the_fleet_away() -> None:
    """Each host loses other tasks of one graph that nobody survives, and nobody else's."""
    fleet = Fleet()
    for _ in range(10):
        for host in ("gpu-1", "gpu-2", "gpu-3", "gpu-4"):
            fleet.lose(host, provider=B)
            fleet.at += SECOND

    assert fleet.notices == []


def test_ill_hosts_are_found_while_the_provider_works_elsewhere() -> None:
    """Two broken hosts of five: what they lose, the others do."""
    fleet = Fleet()
    for _ in range(4):
        fleet.lose("gpu-1")
        fleet.lose("gpu-2")
        for host in ("gpu-3", "gpu-4", "gpu-5"):
            fleet.succeed(host)

    assert fleet.aside() == {"gpu-1", "gpu-2"}


def test_reports_that_name_no_provider_are_judged_by_host_and_task() -> None:
    """Agents of yesterday do not say whose graph it was."""
    fleet = Fleet()
    nobody = ProviderId("")

    assert [fleet.lose("gpu-1", provider=nobody) for _ in range(3)] == [False, False, True]
    assert [fleet.lose("gpu-2", provider=nobody) for _ in range(3)] == [False, False, True]


def test_a_fleet_that_is_well_writes_nothing() -> None:
    """Every report of every job is heard here; a record for each would be a bottleneck."""
    fleet = Fleet()
    for n in range(50):
        fleet.succeed(f"gpu-{n % 3}")

    assert fleet.writes == 0


def test_successes_beside_an_ill_host_are_written_once_for_each_loss() -> None:
    """One broken host must not make every report of the fleet a write."""
    fleet = Fleet()
    fleet.lose("gpu-1")
    before = fleet.writes
    for n in range(50):
        fleet.succeed(f"gpu-{2 + n % 3}")

    assert fleet.writes == before + 1


def test_what_is_remembered_is_bounded_and_forgotten() -> None:
    """Hosts of a cloud have a new name each day."""
    fleet = Fleet()
    for n in range(HOSTS_LIMIT + 20):
        fleet.lose(f"gpu-{n}", provider=ProviderId(f"fx-{n}"))
    assert len(fleet.state.hosts) == HOSTS_LIMIT

    fleet.at += timedelta(days=2)
    fleet.lose("gpu-new")
    assert set(fleet.state.hosts) == {"gpu-new"}
