"""Where media are kept: on this machine's disk, or in a bucket."""

from __future__ import annotations

from typing import Final

from actors.runtime.contract import SystemClock
from effectmesh.settings import Settings
from effectmesh.state import media_key
from media.local_store import LocalMediaStore
from media.local_urls import LocalUrls
from media.s3_client import S3Settings
from media.s3_store import S3MediaStore
from media.s3_uploads import S3Uploads
from media.store import DirectUploads, MediaStore

SIGNED: Final = "/v1/signed"


def media_store(settings: Settings) -> MediaStore:
    """Return the store that every process of this installation shares."""
    if settings.s3_bucket:
        return S3MediaStore(settings=_bucket(settings))
    return LocalMediaStore(root=settings.media)


def direct_uploads(settings: Settings) -> DirectUploads | None:
    """Return how browsers upload by themselves, or nothing where only the gateway can write."""
    return S3Uploads(settings=_bucket(settings)) if settings.s3_bucket else None


def signed_urls(settings: Settings) -> LocalUrls | None:
    """Return what signs addresses of files, or nothing where the bucket does."""
    if settings.s3_bucket:
        return None
    base = settings.public_url + SIGNED
    return LocalUrls(key=media_key(settings), base_url=base, now=SystemClock().now)


def _bucket(settings: Settings) -> S3Settings:
    return S3Settings(
        bucket=settings.s3_bucket,
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key,
    )
