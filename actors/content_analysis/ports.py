"""What Content Analysis needs from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from media.analysis import Sighting


class Analyzer(Protocol):
    """Watches a clip."""

    async def watch(self, clip: Path) -> Sighting:
        """Measure a local file.

        Raises:
            UnreadableFootageError: it cannot be decoded.
        """
        ...
