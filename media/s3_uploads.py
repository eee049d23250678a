"""Uploads that go from the browser straight to S3, by URLs signed for one part each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread

from media.address import parse
from media.errors import UploadUnknownError
from media.s3_client import S3Settings, errors_of, s3_client
from media.store import PartTag, PartUrl, UploadPlan

PART_BYTES: Final = 16 * 1024 * 1024
MAX_PARTS: Final = 256
"""So many URLs are signed at once; with ``PART_BYTES`` that is 4 GiB."""
MAX_SECONDS: Final = 3600
WORKERS: Final = 2
_TYPE: Final = "application/octet-stream"

T = TypeVar("T")


class S3Uploads:
    """Plans, completes and forgets direct uploads into the bucket of an ``S3MediaStore``.

    A small object is one PUT that succeeds once: its URL cannot replace what was judged already.
    """

    def __init__(self, *, settings: S3Settings, part_bytes: int = PART_BYTES) -> None:
        self._bucket = settings.bucket
        self._client: Any = s3_client(settings, connections=WORKERS)
        self._part_bytes = part_bytes
        self._slots = CapacityLimiter(WORKERS)

    async def begin(self, uri: str, *, size: int, seconds: int) -> UploadPlan:
        """Return where the parts of an object of ``size`` bytes are to be put.

        Raises:
            InvalidUriError: not an address.
            ValueError: nothing to upload, too much, or for too long a time.
        """
        key = _key(uri)
        if not 1 <= size <= self._part_bytes * MAX_PARTS:
            raise ValueError(f"not between 1 and {self._part_bytes * MAX_PARTS} bytes: {size}")
        if not 1 <= seconds <= MAX_SECONDS:
            raise ValueError(f"not between 1 and {MAX_SECONDS} seconds: {seconds}")
        return await self._in_thread(uri, partial(self._planned, uri, key, size, seconds))

    async def complete(self, uri: str, *, upload_id: str, parts: Sequence[PartTag]) -> None:
        """Make the object of its parts. A single PUT made it already.

        Raises:
            UploadUnknownError: no such upload, or its parts are not those.
        """
        key = _key(uri)
        if not upload_id:
            return
        await self._in_thread(uri, partial(self._completed, uri, key, upload_id, parts))

    async def abort(self, uri: str, *, upload_id: str) -> None:
        """Forget an upload and its parts, if it is there."""
        key = _key(uri)
        if upload_id:
            await self._in_thread(uri, partial(self._aborted, uri, key, upload_id))

    async def abort_stale(self, *, before: datetime) -> int:
        """Forget the uploads that began before a time; return how many."""
        return await self._in_thread("unfinished uploads", partial(self._aborted_all, before))

    def _planned(self, uri: str, key: str, size: int, seconds: int) -> UploadPlan:
        if size <= self._part_bytes:
            headers = {"Content-Type": _TYPE, "If-None-Match": "*"}
            url = self._signed(
                "put_object",
                seconds,
                Key=key,
                ContentType=_TYPE,
                ContentLength=size,
                IfNoneMatch="*",
            )
            whole = PartUrl(number=1, url=url, size=size, headers=headers)
            return UploadPlan(
                uri=uri, upload_id="", part_bytes=size, parts=(whole,), seconds=seconds
            )
        begun = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=key, ContentType=_TYPE
        )
        parts = tuple(
            self._part(key, begun["UploadId"], number, min(self._part_bytes, size - at), seconds)
            for number, at in enumerate(range(0, size, self._part_bytes), start=1)
        )
        return UploadPlan(
            uri=uri,
            upload_id=begun["UploadId"],
            part_bytes=self._part_bytes,
            parts=parts,
            seconds=seconds,
        )

    def _part(self, key: str, upload_id: str, number: int, size: int, seconds: int) -> PartUrl:
        url = self._signed(
            "upload_part",
            seconds,
            Key=key,
            UploadId=upload_id,
            PartNumber=number,
            ContentLength=size,
        )
        return PartUrl(number=number, url=url, size=size)

    def _signed(self, call: str, seconds: int, **params: Any) -> str:
        return str(
            self._client.generate_presigned_url(call, {"Bucket": self._bucket} | params, seconds)
        )

    def _completed(self, uri: str, key: str, upload_id: str, parts: Sequence[PartTag]) -> None:
        named = sorted(parts, key=lambda part: part.number)
        try:
            with errors_of(uri):
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload_id,
                    MultipartUpload={
                        "Parts": [{"ETag": each.etag, "PartNumber": each.number} for each in named]
                    },
                )
        except UploadUnknownError:
            # the answer to a first try may have been lost on its way
            if not self._made_of(key, len(named)):
                raise

    def _made_of(self, key: str, parts: int) -> bool:
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return any(
            each["Key"] == key and each["ETag"].strip('"').endswith(f"-{parts}")
            for each in found.get("Contents", ())
        )

    def _aborted(self, uri: str, key: str, upload_id: str) -> None:
        try:
            with errors_of(uri):
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id
                )
        except UploadUnknownError:
            return

    def _aborted_all(self, before: datetime) -> int:
        stale = [
            (each["Key"], each["UploadId"])
            for page in self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket
            )
            for each in page.get("Uploads", ())
            if each["Initiated"] < before
        ]
        for key, upload_id in stale:
            self._aborted(key, key, upload_id)
        return len(stale)

    async def _in_thread(self, uri: str, call: Callable[[], T]) -> T:
        def run() -> T:
            with errors_of(uri):
                return call()

        return await to_thread.run_sync(run, limiter=self._slots)


def _key(uri: str) -> str:
    address = parse(uri)
    return "/".join((address.bucket, *address.parts))
