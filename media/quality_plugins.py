"""The port for learned metrics: models that come as a file with a checksum, never by download.

A metric sees what the evaluator sees. What it says is told in ``Verdict.extra`` under its name and
is not weighed: the composite of one evaluator version is the same with and without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from media.frames import Footage
from media.quality import Verdict

MAX_MODEL_BYTES: Final = 2 * 1024**3


class Metric(Protocol):
    """A learned metric. Raises nothing: what it cannot measure it does not name."""

    @property
    def version(self) -> str:
        """Return name and version, such as ``musiq-1``; scores of two versions do not mix."""
        ...

    def measure(self, source: Footage, result: Footage) -> Mapping[str, float]:
        """Return numbers by name, each in 0..1 with 1 for the best."""
        ...


class WrongModelError(ValueError):
    """A model file is missing, too large, or not the one that was named."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"the model {path.name}: {why}")


def verified(path: Path, *, sha256: str) -> bytes:
    """Return a model's bytes once they are known to be the right ones.

    The same bytes that were checked are returned, so the file cannot change in between.

    Raises:
        WrongModelError: it is not there, too large, or another file.
    """
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise WrongModelError(path, f"more than {MAX_MODEL_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise WrongModelError(path, error.strerror or "cannot be read") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise WrongModelError(path, f"its checksum is {found}")
    return content


def with_metrics(
    verdict: Verdict, source: Footage, result: Footage, metrics: Sequence[Metric]
) -> Verdict:
    """Return the verdict with what the metrics say beside it; numbers out of range are left out."""
    extra = dict(verdict.extra)
    for metric in metrics:
        for name, value in metric.measure(source, result).items():
            if 0.0 <= value <= 1.0:
                extra[f"{metric.version}.{name}"] = float(value)
    return replace(verdict, extra=extra)
