"""Answers about the gallery. It is public, so no tenant is asked for."""

from __future__ import annotations

from msgspec import Struct

from actors.gallery.ports import Catalog
from actors.runtime.contract import GiveUp
from schemas.asks import PAGE_LIMIT, FindEffect, GalleryPage, ListGallery


class GalleryAnswers:
    """Answers ``ListGallery`` and ``FindEffect``."""

    def __init__(self, *, catalog: Catalog) -> None:
        self._catalog = catalog

    async def answer(self, question: Struct) -> Struct:
        """Look it up.

        Raises:
            GiveUp: this is no question about the gallery.
        """
        if isinstance(question, FindEffect):
            item = await self._catalog.find(question.effect_id)
            return GalleryPage(effects=() if item is None else (item,))
        if isinstance(question, ListGallery):
            return await self._page(question)
        raise GiveUp(f"no answer to {type(question).__name__} is known here")

    async def _page(self, question: ListGallery) -> GalleryPage:
        limit = min(max(question.limit, 1), PAGE_LIMIT)
        # one more than asked for tells whether there is a next page
        found = await self._catalog.page(
            limit=limit + 1, before=question.before, effect_type=question.effect_type
        )
        effects = found[:limit]
        return GalleryPage(
            effects=effects, next=effects[-1].effect_id if len(found) > limit else ""
        )
