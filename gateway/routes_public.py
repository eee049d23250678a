"""HTTP that needs no token: the gallery, and whether the gateway is well."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, head
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from gateway import bodies
from gateway.errors import not_found
from gateway.guards import WebRequest
from gateway.ids import is_id
from gateway.media import REVALIDATE
from gateway.ports import Bus
from gateway.routes_jobs import Cursor, Limit, Media, TheBus
from gateway.routes_uploads import Settings
from schemas.asks import FindEffect, GalleryItem, GalleryPage, ListGallery

EffectType = Annotated[str, QueryParameter(pattern=r"^[A-Za-z0-9_-]{0,128}$")]


@get("/v1/gallery")
async def list_gallery(
    bus: TheBus, limit: Limit = 50, before: Cursor = "", effect_type: EffectType = ""
) -> GalleryPage:
    """List the published effects, the newest first."""
    question = ListGallery(limit=limit, before=before, effect_type=effect_type)
    return await bus.ask(question, GalleryPage)


@get("/v1/gallery/{effect_id:str}")
async def show_effect(effect_id: FromPath[str], bus: TheBus) -> GalleryItem:
    """Show the pinned revision of an effect."""
    return await _effect(bus, effect_id)


@get("/v1/gallery/{effect_id:str}/video")
async def effect_video(
    request: WebRequest, effect_id: FromPath[str], bus: TheBus, media: Media
) -> Response[None] | Stream:
    """Stream the pinned revision."""
    item = await _effect(bus, effect_id)
    return await media.answer(
        request,
        item.video_uri,
        name=item.revision_id,
        cache=REVALIDATE,
        content_hash=item.content_hash,
    )


@head("/v1/gallery/{effect_id:str}/video")
async def effect_video_head(effect_id: FromPath[str], bus: TheBus, media: Media) -> Response[None]:
    """Say how long the pinned revision is."""
    item = await _effect(bus, effect_id)
    return await media.head(
        item.video_uri,
        name=item.revision_id,
        cache=REVALIDATE,
        content_hash=item.content_hash,
    )


@get("/livez")
async def livez() -> bodies.LiveView:
    """Say that the process answers."""
    return bodies.LiveView()


@get("/readyz")
async def readyz(bus: TheBus) -> Response[bodies.ReadyView]:
    """Say whether requests can be served; 503 when not."""
    parts = {"bus": _bus_part(bus), "manifest": _manifest_part(bus)}
    ready = all(part.ok for part in parts.values())
    shown = bodies.ReadyView(status="ready" if ready else "not ready", parts=parts)
    return Response(shown, status_code=200 if ready else 503)


@get("/version")
async def version(settings: Settings) -> bodies.VersionView:
    """Say what runs here."""
    return bodies.VersionView(name="effectmesh", version=settings.version)


async def _effect(bus: Bus, effect_id: str) -> GalleryItem:
    if is_id(effect_id):
        page = await bus.ask(FindEffect(effect_id=effect_id), GalleryPage)
        if page.effects:
            return page.effects[0]
    raise not_found("UNKNOWN_EFFECT", "effect in the gallery", effect_id)


def _bus_part(bus: Bus) -> bodies.PartView:
    alive = bus.alive()
    return bodies.PartView(ok=alive, detail="connected" if alive else "the broker is away")


def _manifest_part(bus: Bus) -> bodies.PartView:
    count = len(bus.effects())
    detail = f"{count} effects offered" if count else "no routing manifest was published yet"
    return bodies.PartView(ok=count > 0, detail=detail)


HANDLERS = (
    list_gallery,
    show_effect,
    effect_video,
    effect_video_head,
    livez,
    readyz,
    version,
)
