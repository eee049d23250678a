"""The analyzer that measures pixels, in a thread."""

from __future__ import annotations

from pathlib import Path

from anyio import to_thread

from media import analysis
from media.analysis import Sighting


class MeasuringAnalyzer:
    """Decodes and measures; the libraries below release the interpreter while they work."""

    async def watch(self, clip: Path) -> Sighting:
        """Measure a local file."""
        return await to_thread.run_sync(analysis.watch, clip)
