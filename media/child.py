"""The child process that decodes what nobody vouches for: ``python -m media.child JOB``.

Standard input is the file, the working folder is its own, the answer is one line of JSON on
standard output. First of all it gives up the network, for a process may only do that while it has
one thread, and libraries start some as they are loaded. Then it loads what decodes, limits itself,
and says that it is ready, so that a machine that cannot decode at all is never mistaken for a file
that cannot be decoded.
"""

from __future__ import annotations

import ctypes
import importlib
import resource
import sys
from typing import Any, Final

import msgspec

from media.job import READY, Job
from media.verdicts import IntakeLimits

_MAX_FILES: Final = 64
_NEW_USER_AND_NETWORK: Final = 0x10000000 | 0x40000000


def main(argument: str) -> None:
    """Do the job and write the verdict."""
    isolate()
    judgement: Any = importlib.import_module("media.judgement")
    job = msgspec.json.decode(argument, type=Job)
    confine(job.limits)
    output = sys.stdout.buffer
    output.write(READY)
    output.flush()
    output.write(msgspec.json.encode(judgement.judge(job, sys.stdin.buffer)))


def isolate() -> bool:
    """Give up the network and the rights over other users' files; tell whether the host let us."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).unshare(_NEW_USER_AND_NETWORK) == 0)


def confine(limits: IntakeLimits) -> None:
    """Limit what decoding may use up; a limit this system does not know is passed over."""
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", _MAX_FILES),
        ("RLIMIT_FSIZE", limits.max_bytes),
        ("RLIMIT_CPU", limits.cpu_seconds),
        ("RLIMIT_AS", limits.memory_bytes),
    ):
        _limit(name, value)


def _limit(name: str, value: int) -> None:
    number = getattr(resource, name, None)
    if number is None:
        return
    _, hard = resource.getrlimit(number)
    # one more for the hard limit: at the soft one the kernel says which limit it was
    ends = value + 1 if hard == resource.RLIM_INFINITY else min(value + 1, hard)
    try:
        resource.setrlimit(number, (min(value, ends), ends))
    except (ValueError, OSError):
        # macOS lists RLIMIT_AS and refuses to set it
        return


if __name__ == "__main__":
    main(sys.argv[1])
