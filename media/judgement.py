"""What the decoding child does with its file, and what its troubles mean."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO, Final

from av.error import FFmpegError

from media.job import Job
from media.normalize import normalize
from media.probe import measure
from media.verdicts import Code, Inspected, OutOfRoom, RefusedError, Verdict, refuse

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def judge(job: Job, file: BinaryIO) -> Verdict:
    """Do the job; the working folder is where things are written."""
    try:
        if job.normalize:
            return normalize(file, Path(), job.limits, job.screen)
        return Inspected(metadata=measure(file, job.limits).metadata)
    except RefusedError as error:
        return error.refusal
    except MemoryError:
        return refuse(Code.UNREADABLE, detail="it needs more memory than is allowed")
    except (OSError, FFmpegError) as error:
        if error.errno in _FULL:
            return OutOfRoom()
        return refuse(Code.UNREADABLE, detail=str(error))
