"""Keeps one server running exactly as long as somebody wants it. Run as a script, never imported.

The guard starts the server as its own child and reads its standard input, a pipe of which only the
parent holds the other end. When the parent closes it, or dies of whatever (SIGKILL too), the pipe
ends and the guard stops the server: the given signal first, SIGKILL after the grace. So a killed
parent leaves no server behind, and no pid can be mistaken for another. Should the guard itself be
killed, the kernel stops the server on Linux: a death signal is bound to the thread that forked,
which is why the parent, with its many threads, cannot ask for one itself.

It imports next to nothing, for every server's start waits for it.
"""

import ctypes
import os
import select
import signal
import sys
import time

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CANNOT_EXECUTE = 127
_SERVER_DIED_OF = 128
_SIGNALS_AT_ONCE = 64


def main(arguments: list[str]) -> int:
    """Run ``stop_signal grace_s uid gid command...``; return how the server ended."""
    stop_signal, grace_s, uid, gid = (int(word) for word in arguments[:4])
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    for number in _HEARD:
        signal.signal(number, _wake_up)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    library = ctypes.CDLL(None)  # loaded before the fork: the child only calls
    guard = os.getpid()
    # held back over the fork, or the server's first signal would end in our handler
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    server = os.fork()
    if server == 0:
        try:
            _drop_everything(uid, gid)
            if sys.platform == "linux":
                library.prctl(_SET_DEATH_SIGNAL, stop_signal)  # last, since setuid clears it
            if os.getppid() == guard:
                os.execv(arguments[4], arguments[4:])  # noqa: S606 - no shell is the point
        except OSError as problem:
            os.write(2, f"cannot start {arguments[4]}: {problem}\n".encode())
        finally:
            os._exit(_CANNOT_EXECUTE)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
    os.write(1, b"%d\n" % server)
    os.close(1)
    return _keep(server, woken, stop_signal, grace_s)


def _wake_up(number: int, frame: object) -> None:
    """Do nothing: the wake-up pipe has told already."""


def _drop_everything(uid: int, gid: int) -> None:
    """Leave the guard's signals, pipes and rights behind."""
    signal.set_wakeup_fd(-1)
    for number in (*_HEARD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _keep(server: int, woken: int, stop_signal: int, grace_s: int) -> int:
    """Wait until the server ends, by itself or because nobody wants it any more."""
    kill_at: float | None = None
    while True:
        ended, status = os.waitpid(server, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _SERVER_DIED_OF - code
        if kill_at is not None and time.monotonic() >= kill_at:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
            return _SERVER_DIED_OF + signal.SIGKILL
        if kill_at is None:
            ready, _, _ = select.select([0, woken], [], [])
        else:
            ready, _, _ = select.select([woken], [], [], max(0.0, kill_at - time.monotonic()))
        told = os.read(woken, _SIGNALS_AT_ONCE) if woken in ready else b""
        if kill_at is None and (0 in ready or set(told) - {signal.SIGCHLD}):
            os.kill(server, stop_signal)
            kill_at = time.monotonic() + grace_s


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
