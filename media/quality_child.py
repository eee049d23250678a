"""The child process that scores: ``python -m media.quality_child JOB``.

Both clips are open files by number, the answer is one verdict as JSON on standard output. A result
comes from a host we do not own, so it is decoded here, without a network where the host allows it
and with limits on all it could use up.
"""

from __future__ import annotations

import math
import os
import sys

import cv2
import msgspec

from media.child import confine
from media.frames import UnreadableFootageError, load, small_size
from media.quality import Verdict, evaluate, unknown
from media.quality_job import READY, ScoringJob


def main(argument: str) -> None:
    """Do the job and write the verdict."""
    job = msgspec.json.decode(argument, type=ScoringJob)
    confine(job.limits)
    # the pool has a child for each core; threads inside would only fight over them
    cv2.setNumThreads(1)
    output = sys.stdout.buffer
    output.write(READY)
    output.flush()
    output.write(msgspec.json.encode(judge(job)))


def judge(job: ScoringJob) -> Verdict:
    """Decode and compare; what cannot be decoded is an unknown verdict."""
    until = math.inf if job.until_ms is None else job.until_ms
    try:
        before = load(job.source, until_ms=until)
    except UnreadableFootageError as error:
        return unknown(f"the input is unreadable: {error}")
    size = small_size(before.width, before.height)
    try:
        after = load(job.result, size=size, until_ms=until)
    except UnreadableFootageError as error:
        return unknown(f"the result is unreadable: {error}")
    try:
        return evaluate(
            before,
            after,
            effect_type=job.effect_type,
            look=job.look,
            prefix=job.until_ms is not None,
        )
    except MemoryError:
        return unknown("scoring needs more memory than is allowed")


if __name__ == "__main__":
    main(sys.argv[1])
    # what the libraries do while they are torn down is nobody's business any more
    sys.stdout.flush()
    os._exit(0)
