"""What Content Analysis needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from media.analysis import Sighting
from schemas.base import TenantId
from schemas.video import Analysis


class Analyzer(Protocol):
    """Watches a clip."""

    @property
    def modelled(self) -> bool:
        """Whether a model names things; with and without one are two answers."""
        ...

    async def watch(self, clip: Path) -> Sighting:
        """Measure a local file.

        Raises:
            UnreadableFootageError: it cannot be decoded.
        """
        ...


class Captioner(Protocol):
    """Describes pictures in words."""

    @property
    def name(self) -> str:
        """Whose words they are, short and without spaces."""
        ...

    async def captions(self, stills: Sequence[bytes]) -> Sequence[str]:
        """Return a sentence for each JPEG, empty where there is no picture or no answer.

        Never fails: whoever does not answer in time has said nothing.
        """
        ...


class AnalysisCache(Protocol):
    """Remembers what was said about some bytes, by tenant, content and version."""

    async def find(self, tenant_id: TenantId, content_hash: str, version: str) -> Analysis | None:
        """Return the answer of this very version, none of another's."""
        ...

    async def keep(
        self, tenant_id: TenantId, content_hash: str, version: str, analysis: Analysis
    ) -> None:
        """Remember an answer; one that is there already stays."""
        ...

    async def forget(self, tenant_id: TenantId, content_hash: str) -> None:
        """Remember nothing about these bytes any more, in any version."""
        ...
