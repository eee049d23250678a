"""A catalog and a media store in memory. The catalog passes the suite of the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from msgspec import structs

from media.errors import MediaNotFoundError, StoreFullError
from schemas.asks import GalleryItem
from schemas.base import EventId, JobId, TenantId


class MemoryCatalog:
    """``Catalog`` in dictionaries."""

    def __init__(self) -> None:
        self._revisions: dict[tuple[str, str], tuple[EventId, GalleryItem]] = {}
        self._pinned: dict[str, str] = {}
        self._jobs: dict[tuple[JobId, TenantId], str] = {}
        self._withdrawn: set[tuple[JobId, TenantId]] = set()

    async def published_by(self, cause_id: EventId) -> GalleryItem | None:
        """Return the revision that this approval has led to already."""
        found = [item for cause, item in self._revisions.values() if cause == cause_id]
        return found[0] if found else None

    async def publish(
        self, draft: GalleryItem, *, job_id: JobId, tenant_id: TenantId, cause_id: EventId
    ) -> GalleryItem | None:
        """Add a revision with the next number and pin it."""
        if await self.is_withdrawn(job_id, tenant_id):
            return None
        self._jobs[job_id, tenant_id] = draft.effect_id
        number = 1 + sum(effect == draft.effect_id for effect, _ in self._revisions)
        item = structs.replace(draft, revision=number)
        key = (draft.effect_id, draft.revision_id)
        _, kept = self._revisions.setdefault(key, (cause_id, item))
        self._pinned[draft.effect_id] = draft.revision_id
        return kept

    async def withdraw(self, job_id: JobId, tenant_id: TenantId, *, at: datetime) -> None:
        """Show nothing of a job any more."""
        self._withdrawn.add((job_id, tenant_id))
        self._pinned.pop(self._jobs.get((job_id, tenant_id), ""), None)

    async def is_withdrawn(self, job_id: JobId, tenant_id: TenantId) -> bool:
        """Tell whether a job was withdrawn."""
        return (job_id, tenant_id) in self._withdrawn

    async def page(
        self, *, limit: int, before: str = "", effect_type: str = ""
    ) -> tuple[GalleryItem, ...]:
        """Return the pinned revisions, the newest effects first."""
        effects = {effect for effect, _ in self._revisions}
        newest = sorted(effects, key=lambda one: (self._first(one), one), reverse=True)
        if before:
            newest = newest[newest.index(before) + 1 :] if before in newest else []
        shown = [one for one in newest if one in self._pinned]
        items = [self._revisions[one, self._pinned[one]][1] for one in shown]
        return tuple(one for one in items if effect_type in ("", one.effect_type))[:limit]

    async def find(self, effect_id: str) -> GalleryItem | None:
        """Return the pinned revision of an effect."""
        pinned = self._pinned.get(effect_id)
        return None if pinned is None else self._revisions[effect_id, pinned][1]

    def _first(self, effect_id: str) -> object:
        return min(
            item.published_at
            for (effect, _), (_, item) in self._revisions.items()
            if effect == effect_id
        )


class FolderStore:
    """``MediaStore`` in a folder of the test's own; it can be full."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.full = False
        self.written: list[str] = []

    def _path(self, uri: str) -> Path:
        return self._root / uri.removeprefix("s3://").replace("/", "~")

    def _copy(self, source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Store a file, unless the store is full."""
        if self.full:
            raise StoreFullError(uri)
        self._copy(path, self._path(uri))
        self.written.append(uri)

    @asynccontextmanager
    async def as_file(self, uri: str) -> AsyncIterator[Path]:
        """Yield the stored file."""
        if not self._path(uri).is_file():
            raise MediaNotFoundError(uri)
        yield self._path(uri)

    async def size(self, uri: str) -> int:
        """Return the size in bytes."""
        async with self.as_file(uri) as path:
            return path.stat().st_size

    async def read(
        self, uri: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes in one piece."""
        async with self.as_file(uri) as path:
            yield path.read_bytes()[start:end]

    async def delete(self, uri: str) -> None:
        """Remove the object if it is there."""
        self._path(uri).unlink(missing_ok=True)
