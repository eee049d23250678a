"""What the doctor makes of what it sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from effectmesh.doctor import (
    check_clock,
    check_disk,
    check_files,
    check_module,
    check_page,
    check_python,
)

GB = 1_000_000_000
UNLIMITED = -1


@pytest.mark.parametrize(
    ("free_bytes", "status"), [(20 * GB, "ok"), (2 * GB, "warn"), (GB // 2, "fail")]
)
def test_a_full_disk_is_seen_before_a_stream_is(free_bytes: int, status: str) -> None:
    """JetStream and Postgres stop when there is no room."""
    check = check_disk(free_bytes, Path("/home/x"))

    assert check.status == status
    assert bool(check.fix) == (status != "ok")


@pytest.mark.parametrize(
    ("soft", "hard", "status", "fix"),
    [
        (65_536, 65_536, "ok", ""),
        (UNLIMITED, UNLIMITED, "ok", ""),
        (1_024, 65_536, "warn", "ulimit -n 4096"),
        (1_024, UNLIMITED, "warn", "ulimit -n 4096"),
        (256, 1_024, "fail", "raise the hard limit of 1024 as root"),
    ],
)
def test_the_remedy_for_few_files_is_one_that_works(
    soft: int, hard: int, status: str, fix: str
) -> None:
    """A user cannot go above the hard limit."""
    check = check_files(soft, hard)

    assert (check.status, check.fix) == (status, fix)


def test_a_clock_before_the_installation_is_wrong() -> None:
    """Tokens would never be valid, and streams would keep nothing."""
    installed = 1_780_000_000.0

    assert check_clock(installed + 60, installed).status == "ok"
    assert check_clock(0.0, installed).status == "fail"


def test_an_old_python_is_named() -> None:
    """The remedy is another Python, not another package."""
    assert check_python((3, 10, 4)).fix == "install Python 3.11"
    assert check_python((3, 13, 0)).status == "ok"


@pytest.mark.parametrize(
    ("built", "node", "status"),
    [
        (Path("index.html"), None, "ok"),
        (None, ("20.20.2", "/usr/bin/node"), "ok"),
        (None, ("18.19.0", "/usr/bin/node"), "warn"),
        (None, None, "ok"),
    ],
)
def test_node_is_needed_only_where_the_page_is_not_built(
    built: Path | None, node: tuple[str, str] | None, status: str
) -> None:
    """An installed wheel carries the page."""
    assert check_page(built, node).status == status


def test_a_library_that_does_not_load_is_a_failure() -> None:
    """The clip would fail at the second step, minutes later."""
    check = check_module("no_such_library", "video")

    assert (check.name, check.status) == ("video", "fail")
    assert check.fix
