"""The stores that the suite runs over, each with what a browser would do to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from unittest import mock
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

from media.errors import SignatureRefusedError
from media.local_store import LocalMediaStore
from media.local_urls import LocalUrls
from media.s3_client import S3Settings
from media.s3_store import S3MediaStore
from media.store import Listing, MediaStore, SignedUrls
from tests.contract.media_store.servers import with_own_bucket

PART_BYTES = 5 * 1024 * 1024
"""The smallest that S3 takes, so that a file of a few megabytes travels in parts."""
BASE = "http://here/v1/signed"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Shelf(MediaStore, Listing, SignedUrls, Protocol):
    """A store under test."""

    checks_signatures: bool

    async def fetch(self, url: str, *, span: str = "") -> tuple[int, bytes]:
        """Return status and body of a GET."""
        ...

    async def stale_url(self, uri: str) -> str:
        """Return a URL whose time is over."""
        ...


class LocalShelf(LocalMediaStore):
    """The local store, with the signer beside it."""

    checks_signatures = True

    def __init__(self, folder: Path) -> None:
        super().__init__(root=folder / "store")
        self._urls = self._signer(NOW)

    async def signed_url(self, uri: str, *, seconds: int) -> str:
        """Sign."""
        return await self._urls.signed_url(uri, seconds=seconds)

    async def stale_url(self, uri: str) -> str:
        """Sign for a minute that ended just now."""
        return await self._signer(NOW - timedelta(seconds=60)).signed_url(uri, seconds=60)

    async def fetch(self, url: str, *, span: str = "") -> tuple[int, bytes]:
        """Do what the gateway does with such a URL."""
        path = unquote(url.removeprefix(BASE + "/").partition("?")[0])
        try:
            uri = self._urls.opened("GET", path, **dict(parse_qsl(urlsplit(url).query)))
        except SignatureRefusedError as error:
            return 403, str(error).encode()
        start, end = 0, await self.size(uri)
        if span:
            first, last = span.removeprefix("bytes=").split("-")
            start, end = int(first), int(last) + 1
        body = b"".join([piece async for piece in self.read(uri, start=start, end=end)])
        return 206 if span else 200, body

    def _signer(self, now: datetime) -> LocalUrls:
        return LocalUrls(key=b"k" * 32, base_url=BASE, now=lambda: now)


class S3Shelf(S3MediaStore):
    """The S3 store before some server."""

    def __init__(self, settings: S3Settings, *, checks_signatures: bool) -> None:
        super().__init__(settings=settings, part_bytes=PART_BYTES)
        self.checks_signatures = checks_signatures

    def emptied(self, settings: S3Settings) -> S3Shelf:
        """Go on with an empty bucket; to make a client takes longer than most tests."""
        self._bucket = with_own_bucket(settings, self._client).bucket
        return self

    async def fetch(self, url: str, *, span: str = "") -> tuple[int, bytes]:
        """Ask the server."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(url, headers={"Range": span} if span else {})
        return answer.status_code, answer.content

    async def stale_url(self, uri: str) -> str:
        """Sign as of ten minutes ago, for one."""
        past = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=10)
        with mock.patch("botocore.auth.get_current_datetime", return_value=past):
            return await self.signed_url(uri, seconds=60)
