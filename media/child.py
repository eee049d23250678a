"""The child process that decodes what nobody vouches for: ``python -m media.child JOB``.

Standard input is the file, the working folder is its own, the answer is one line of JSON on
standard output. It imports little, because it is started for every file. Before it looks at the
file it says that it is ready, so that a machine that cannot decode at all is never mistaken for a
file that cannot be decoded.
"""

from __future__ import annotations

import ctypes
import errno
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec
from av.error import FFmpegError

from media.job import READY, Job
from media.normalize import normalize
from media.probe import measure
from media.verdicts import (
    Code,
    Inspected,
    IntakeLimits,
    OutOfRoom,
    RefusedError,
    Verdict,
    refuse,
)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAX_FILES: Final = 64
_NEW_USER_AND_NETWORK: Final = 0x10000000 | 0x40000000


def main(argument: str) -> None:
    """Do the job and write the verdict."""
    job = msgspec.json.decode(argument, type=Job)
    confine(job.limits)
    output = sys.stdout.buffer
    output.write(READY)
    output.flush()
    output.write(msgspec.json.encode(_judge(job)))


def _judge(job: Job) -> Verdict:
    try:
        if job.normalize:
            return normalize(sys.stdin.buffer, Path(), job.limits)
        return Inspected(metadata=measure(sys.stdin.buffer, job.limits).metadata)
    except RefusedError as error:
        return error.refusal
    except MemoryError:
        return refuse(Code.UNREADABLE, detail="it needs more memory than is allowed")
    except (OSError, FFmpegError) as error:
        if error.errno in _FULL:
            return OutOfRoom()
        return refuse(Code.UNREADABLE, detail=str(error))


def confine(limits: IntakeLimits) -> None:
    """Give up what decoding does not need; a limit this system does not know is passed over."""
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", _MAX_FILES),
        ("RLIMIT_FSIZE", limits.max_bytes),
        ("RLIMIT_CPU", limits.cpu_seconds),
        ("RLIMIT_AS", limits.memory_bytes),
    ):
        _limit(name, value)
    if sys.platform == "linux":
        # where the host allows it: no network, and no rights over other users' files
        ctypes.CDLL(None).unshare(_NEW_USER_AND_NETWORK)


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
