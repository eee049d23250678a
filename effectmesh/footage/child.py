"""The child process: ``python -m effectmesh.footage.child JOB``.

It gives up the network while it has one thread, loads what decodes, limits itself, says that it is
ready, and answers with one line of JSON on standard output.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import msgspec

from effectmesh.footage.jobs import READY, Job
from media.child import confine, isolate


def main(argument: str) -> None:
    """Do the job and write the answer."""
    isolate()
    work: Any = importlib.import_module("effectmesh.footage.work")
    job: Job = msgspec.json.decode(argument, type=Job)
    confine(job.limits)
    output = sys.stdout.buffer
    output.write(READY)
    output.flush()
    output.write(msgspec.json.encode(work.answer(job)))


if __name__ == "__main__":
    main(sys.argv[1])
