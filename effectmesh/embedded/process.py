"""One server as a child process: started under a guard, waited for, stopped, never left behind."""

from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from msgspec import Struct

from effectmesh.embedded.errors import NoSuchUserError, StartFailedError

T = TypeVar("T")

READY_WITHIN_S: Final = 20.0
"""A server that says nothing for this long will not start."""
GRACE_S: Final = 10
"""From the polite signal to SIGKILL."""
_LAST_RESORT_S: Final = 5.0
_POLL_S: Final = 0.01
_TAIL_BYTES: Final = 2_000
_MAX_LOG_BYTES: Final = 10_000_000
_GUARD: Final = Path(__file__).with_name("guard.py")
ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that a server sees: ours may hold secrets."""


class Account(Struct, frozen=True, kw_only=True):
    """A user of this machine that a server runs as."""

    name: str
    uid: int
    gid: int


def unprivileged(name: str) -> Account | None:
    """Return the account a server must drop to, or ``None`` when we are not root anyway.

    Raises:
        NoSuchUserError: there is no such user, or it is root.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise NoSuchUserError(name, "does not exist") from None
    if entry.pw_uid == 0:
        raise NoSuchUserError(name, "is root")
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


class Child:
    """A server process. It cannot outlive this one, however this one ends.

    ``command[0]`` is an absolute path. What the server prints goes to ``log``. The server keeps the
    ``held`` files open, a lock for instance.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        log: Path,
        account: Account | None = None,
        held: Sequence[int] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: int = GRACE_S,
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> None:
        self._name = name
        self._command = command
        self._log = log
        self._account = account
        self._held = held
        self._stop_signal = stop_signal
        self._grace_s = grace_s
        self._environment = environment
        self._guard: subprocess.Popen[bytes] | None = None
        self._leash = -1
        self._log_from = 0
        self.pid = 0
        """Of the server, not of its guard."""

    def start(self) -> None:
        """Start the server; it is not yet ready to answer.

        Raises:
            StartFailedError: the guard itself did not start.
        """
        account = self._account
        ids = (account.uid, account.gid) if account else (-1, -1)
        first = (sys.executable, "-I", "-S", str(_GUARD))
        told = (str(int(word)) for word in (self._stop_signal, self._grace_s, *ids))
        held, leash = os.pipe()
        try:
            with _opened(self._log) as log:
                self._log_from = log.tell()
                self._guard = subprocess.Popen(
                    [*first, *told, *self._command],
                    stdin=held,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=self._log.parent,
                    env=dict(self._environment),
                    pass_fds=self._held,
                    start_new_session=True,  # a Ctrl-C is for us, and we stop the servers in order
                )
        except OSError:
            os.close(leash)
            raise
        finally:
            os.close(held)
        self._leash = leash
        assert self._guard.stdout is not None
        with self._guard.stdout as said:
            ready, _, _ = select.select([said], [], [], READY_WITHIN_S)
            pid = said.readline() if ready else b""
        if not pid:
            self._end()
            raise self._failed("was not started")
        self.pid = int(pid)

    @property
    def guard_pid(self) -> int:
        """Of the guard, the server's parent and the head of its process group."""
        return self._guard.pid if self._guard else 0

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._guard is not None and self._guard.poll() is None

    def wait_until(self, probe: Callable[[], T | None], *, within_s: float = READY_WITHIN_S) -> T:
        """Return the first answer of ``probe`` that is not ``None``.

        Raises:
            StartFailedError: the server ended, or the time did.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            answer = probe()
            if answer is not None:
                return answer
            if not self.running:
                raise self._failed(f"ended with code {self._end()}")
            time.sleep(_POLL_S)
        self.stop()
        raise self._failed(f"did not answer within {within_s:g} s")

    def stop(self) -> None:
        """Stop the server and wait until it is gone. Does nothing the second time."""
        if self._guard is not None:
            self._end()

    def kill(self) -> None:
        """Kill the server at once, as a crash would."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def _end(self) -> int:
        """Let go of the leash and collect the guard."""
        assert self._guard is not None
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1
        try:
            return self._guard.wait(self._grace_s + _LAST_RESORT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._guard.pid, signal.SIGKILL)
            return self._guard.wait()

    def _failed(self, what: str) -> StartFailedError:
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_from, size - _TAIL_BYTES))
            tail = log.read(_TAIL_BYTES).decode(errors="replace").strip()
        return StartFailedError(self._name, what, self._log, tail)


def _opened(log: Path) -> BinaryIO:
    """Open a log to append, private to us; a long one starts anew and the old one is kept once."""
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    opened = os.fdopen(file, "ab")
    opened.seek(0, os.SEEK_END)
    return opened
