"""A child process that cannot outlive its parent."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from effectmesh.embedded.errors import StartFailedError
from effectmesh.embedded.process import Child
from tests.integration.embedded.parents import alive, all_gone, kill, parent

_MEEK = ": >up; exec tail -f /dev/null"
_STUBBORN = "trap '' INT TERM; " + _MEEK  # an ignored signal stays ignored in what is executed

_PARENT = """
import sys
from pathlib import Path
from threading import Thread
from effectmesh.embedded.process import Child
child = Child(
    name="tail", command=["/bin/sh", "-c", sys.argv[2]], log=Path(sys.argv[1]), grace_s=1
)
starter = Thread(target=child.start)
starter.start()
starter.join()
child.wait_until(lambda: Path(sys.argv[1]).with_name("up").exists() or None)
print(child.pid, child.guard_pid, flush=True)
sys.stdin.read()
"""


def _child(folder: Path, script: str, **options: int) -> Child:
    return Child(name="script", command=["/bin/sh", "-c", script], log=folder / "log", **options)


@pytest.mark.parametrize("script", [_MEEK, _STUBBORN])
def test_a_killed_parent_takes_its_server_along(tmp_path: Path, script: str) -> None:
    """Nobody can clean up after SIGKILL, and a broker left behind blocks the next start."""
    with parent(_PARENT, str(tmp_path / "log"), script) as (process, [server, _]):
        assert alive(server)
        kill(process)

        assert all_gone([server])


def test_a_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The stack starts its servers in threads, and Linux binds death signals to threads."""
    with parent(_PARENT, str(tmp_path / "log"), _MEEK) as (_, [server, guard]):
        assert alive(server)
        assert alive(guard)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_a_killed_guard_takes_its_server_along(tmp_path: Path) -> None:
    """The machine's memory killer may choose the guard."""
    with parent(_PARENT, str(tmp_path / "log"), _MEEK) as (_, [server, guard]):
        os.kill(guard, signal.SIGKILL)

        assert all_gone([server])


def test_a_server_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    """A stop has an end."""
    child = _child(tmp_path, _STUBBORN, grace_s=1)
    child.start()
    child.wait_until(lambda: (tmp_path / "up").exists() or None)

    child.stop()

    assert not child.running
    assert all_gone([child.pid])


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    """Clean-up code runs more than once."""
    child = _child(tmp_path, _MEEK)
    child.start()
    child.stop()

    child.stop()

    assert not child.running


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """The log's end says why; nobody should have to look for it."""
    child = _child(tmp_path, "echo the disk is full >&2; exit 3")
    child.start()

    with pytest.raises(StartFailedError, match=r"ended with code 3(.|\n)*the disk is full"):
        child.wait_until(lambda: None)


def test_last_words_of_an_earlier_run_are_not_repeated(tmp_path: Path) -> None:
    """An old error in the log would send the reader the wrong way."""
    for words in ("old trouble", "new trouble"):
        child = _child(tmp_path, f"echo {words}; exit 3")
        child.start()
        with pytest.raises(StartFailedError) as failed:
            child.wait_until(lambda: None)

    assert failed.value.tail == "new trouble"


def test_a_server_that_never_answers_is_stopped(tmp_path: Path) -> None:
    """A start that failed leaves nothing running."""
    child = _child(tmp_path, _MEEK)
    child.start()

    with pytest.raises(StartFailedError, match="did not answer within"):
        child.wait_until(lambda: None, within_s=0.05)

    assert all_gone([child.pid])


def test_a_program_that_is_not_there_is_reported(tmp_path: Path) -> None:
    """The guard starts it, so the error has to come through."""
    child = Child(name="ghost", command=["/nonexistent/ghost"], log=tmp_path / "log")
    child.start()

    with pytest.raises(StartFailedError, match="cannot start /nonexistent/ghost"):
        child.wait_until(lambda: None)


def test_a_server_does_not_see_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours may hold the key of a cloud."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    child = _child(tmp_path, "env; exit 1")
    child.start()

    with pytest.raises(StartFailedError) as failed:
        child.wait_until(lambda: None)

    assert "canary" not in failed.value.tail
    assert "LC_ALL" in failed.value.tail
