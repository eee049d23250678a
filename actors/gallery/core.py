"""Where a published effect is found, and what it is called. Pure."""

from __future__ import annotations

from typing import Final

from actors.runtime.follow import derived_id
from schemas.asks import GalleryItem
from schemas.base import JobId
from schemas.events import AdminApproved
from schemas.jobs import Published

BUCKET: Final = "gallery"
CONTENT_TYPE: Final = "video/mp4"
_HASH_CHARACTERS: Final = 24
"""96 bits of the content's hash tell the revisions of one effect apart."""


def effect_id_of(job_id: JobId) -> str:
    """Return the one public id of a job's effect; the job's own id stays private."""
    return derived_id("fx", job_id)


def revision_id_of(content_hash: str) -> str:
    """Return the id of a revision: the same bytes are the same revision."""
    return f"rev_{content_hash[:_HASH_CHARACTERS]}"


def video_uri_of(effect_id: str, revision_id: str) -> str:
    """Return where a revision is stored."""
    return f"s3://{BUCKET}/{effect_id}/{revision_id}.mp4"


def gallery_url_of(public_url: str, effect_id: str) -> str:
    """Return the address of an effect's page."""
    return f"{public_url.rstrip('/')}/#/gallery/{effect_id}"


def video_url_of(public_url: str, effect_id: str) -> str:
    """Return the address of an effect's video."""
    return f"{public_url.rstrip('/')}/v1/gallery/{effect_id}/video"


def draft(heard: AdminApproved, *, content_hash: str, public_url: str) -> GalleryItem:
    """Return the revision that an approval publishes; the catalog gives it its number."""
    selection = heard.payload.selection
    effect_id = effect_id_of(heard.correlation_id)
    revision_id = revision_id_of(content_hash)
    return GalleryItem(
        effect_id=effect_id,
        revision_id=revision_id,
        revision=0,
        effect_type=selection.effect_type,
        title=(selection.effect_type.replace("_", " ") or "effect").capitalize(),
        video_uri=video_uri_of(effect_id, revision_id),
        content_hash=content_hash,
        published_at=heard.timestamp,
        gallery_url=gallery_url_of(public_url, effect_id),
        provider_id=selection.winning_provider_id,
        composite_score=selection.composite_score,
    )


def published(heard: AdminApproved, item: GalleryItem, *, public_url: str) -> Published:
    """Return what everybody is told about a revision."""
    return Published(
        effect_id=item.effect_id,
        revision_id=item.revision_id,
        gallery_url=item.gallery_url,
        # the address that a CDN fetches from, and that answers itself where there is none
        cdn_urls=(video_url_of(public_url, item.effect_id),),
        user_id=heard.payload.selection.user_id,
        output_uri=item.video_uri,
        revision=item.revision,
    )
