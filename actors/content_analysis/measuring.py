"""The analyzer that measures pixels, in a thread.

The mezzanine was written by our own coder from what a sandboxed child had decoded, so it is trusted
and needs no child of its own; the libraries below release the interpreter while they work, so the
actor's loop stays free. A model must not be shared between threads: one clip at a time.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter, to_thread

from media import analysis, style
from media.analysis import Eyes, Sighting

AT_ONCE: Final = 1
"""Clips that are watched at the same time; each uses two cores while it decodes."""


class MeasuringAnalyzer:
    """Decodes and measures; names things when it is given a model."""

    def __init__(self, *, model: Eyes | None = None) -> None:
        self._model = model
        self._book = style.shipped()
        self._slots = CapacityLimiter(AT_ONCE)

    @property
    def modelled(self) -> bool:
        """Whether a model names things."""
        return self._model is not None

    async def watch(self, clip: Path) -> Sighting:
        """Measure a local file."""
        watch = partial(analysis.watch, clip, model=self._model, book=self._book)
        return await to_thread.run_sync(watch, limiter=self._slots)
