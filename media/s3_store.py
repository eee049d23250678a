"""Media in S3, or in whatever speaks its protocol.

All objects live in one real bucket, ``s3://intake/raw/x`` under the key ``intake/raw/x``: one
policy, one life cycle, and no name that somebody else may have taken. boto3 blocks, so it runs in
threads, no more at once than ``workers``. A large file goes up in parts that are read from the disk
as they are sent; every part carries its SHA-256, and the whole file's is kept beside the object.
"""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from media.address import SCHEME, parse, parse_prefix
from media.errors import MediaCorruptError, MediaNotFoundError
from media.s3_client import S3Settings, errors_of, s3_client
from media.slices import FileSlice, digest_of
from media.store import MAX_URL_SECONDS

PIECE_BYTES: Final = 256 * 1024
"""The most that ``read`` holds in memory."""
PART_BYTES: Final = 8 * 1024 * 1024
MAX_PARTS: Final = 10_000
WORKERS: Final = 4
"""Requests of this process at once."""
_DIGEST: Final = "sha256"
"""The name of the whole file's checksum among the object's metadata."""

P = ParamSpec("P")
T = TypeVar("T")


class S3MediaStore:
    """Keeps ``s3://bucket/key`` as ``bucket/key`` in one bucket."""

    def __init__(
        self, *, settings: S3Settings, part_bytes: int = PART_BYTES, workers: int = WORKERS
    ) -> None:
        self._bucket = settings.bucket
        self._client: Any = s3_client(settings, connections=workers)
        self._part_bytes = part_bytes
        self._slots = CapacityLimiter(workers)

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Store a local file under ``uri``; replaces what was there, atomically.

        Raises:
            InvalidUriError: not ``s3://bucket/key``, or a key that leaves the bucket.
            StoreFullError: no room; nothing was stored.
            StoreAwayError: the store cannot be reached.
        """
        key = _key(uri)
        size, digest = await to_thread.run_sync(_measured, path)
        meta = {"ContentType": content_type, "Metadata": {_DIGEST: digest.hex()}}
        if size <= self._part_bytes:
            await self._call(uri, partial(self._put, path, size, digest), Key=key, **meta)
            return
        await self._put_parts(uri, path, size, meta)

    @asynccontextmanager
    async def as_file(self, uri: str) -> AsyncIterator[Path]:
        """Yield a copy of the object, for reading only, which goes when the block is left.

        Raises:
            MediaNotFoundError: nothing is stored there.
            MediaCorruptError: the bytes are not those that were stored.
            StoreAwayError: the store cannot be reached.
        """
        key = _key(uri)
        with TemporaryDirectory(prefix="media-") as folder:
            path = Path(folder) / "object"
            wanted = await self._call(uri, partial(self._fetch, path), Key=key)
            if wanted and (await to_thread.run_sync(digest_of, path)).hex() != wanted:
                raise MediaCorruptError(uri)
            yield path

    async def size(self, uri: str) -> int:
        """Return the size in bytes.

        Raises:
            MediaNotFoundError: nothing is stored there.
        """
        found = await self._call(uri, self._client.head_object, Key=_key(uri))
        return int(found["ContentLength"])

    async def exists(self, uri: str) -> bool:
        """Return whether an object is stored there."""
        try:
            await self.size(uri)
        except MediaNotFoundError:
            return False
        return True

    async def read(
        self, uri: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield bytes ``start`` to ``end`` (exclusive) in bounded pieces.

        Raises:
            MediaNotFoundError: nothing is stored there.
            ValueError: the range is negative.
            StoreAwayError: the store cannot be reached, or stops in the middle.
        """
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"not a range of bytes: {start} to {end}")
        size = await self.size(uri)
        stop = size if end is None else min(end, size)
        if start >= stop:
            return
        span = f"bytes={start}-{stop - 1}"
        answer = await self._call(uri, self._client.get_object, Key=_key(uri), Range=span)
        body = answer["Body"]
        try:
            while piece := await self._guarded(uri, body.read, PIECE_BYTES):
                yield piece
        finally:
            body.close()

    async def delete(self, uri: str) -> None:
        """Remove the object if it is there."""
        await self._call(uri, self._client.delete_object, Key=_key(uri))

    async def addresses(self, prefix: str) -> AsyncIterator[str]:
        """Yield the address of every object that starts with ``prefix``, in order.

        Raises:
            InvalidUriError: ``prefix`` is no address; a last slash is allowed.
        """
        below: dict[str, str] = {"Prefix": parse_prefix(prefix).removeprefix(SCHEME)}
        while True:
            page = await self._call(prefix, self._client.list_objects_v2, **below)
            for each in page.get("Contents", ()):
                yield SCHEME + each["Key"]
            if not page.get("IsTruncated"):
                return
            below["ContinuationToken"] = page["NextContinuationToken"]

    async def signed_url(self, uri: str, *, seconds: int) -> str:
        """Return a URL that answers GET, with ranges, for so many seconds.

        Raises:
            InvalidUriError: not an address.
            ValueError: not between one second and ``MAX_URL_SECONDS``.
        """
        if not 1 <= seconds <= MAX_URL_SECONDS:
            raise ValueError(f"a URL is good for 1 to {MAX_URL_SECONDS} seconds, not {seconds}")
        params = {"Bucket": self._bucket, "Key": _key(uri)}
        return str(
            await self._guarded(
                uri, self._client.generate_presigned_url, "get_object", params, seconds
            )
        )

    async def _put_parts(self, uri: str, path: Path, size: int, meta: dict[str, Any]) -> None:
        """Send a file in parts, several at once; one that fails takes all back."""
        key = _key(uri)
        begun = await self._call(
            uri,
            self._client.create_multipart_upload,
            Key=key,
            ChecksumAlgorithm="SHA256",
            **meta,
        )
        upload_id = begun["UploadId"]
        # a file of any size fits, in larger parts when there would be too many
        step = max(self._part_bytes, -(-size // MAX_PARTS))
        parts: dict[int, dict[str, Any]] = {}

        async def send(number: int, at: int) -> None:
            piece = FileSlice(path, at, min(step, size - at))
            parts[number] = await self._call(
                uri, partial(self._put_part, piece), Key=key, UploadId=upload_id, PartNumber=number
            )

        try:
            async with anyio.create_task_group() as group:
                for number, at in enumerate(range(0, size, step), start=1):
                    group.start_soon(send, number, at)
            await self._call(
                uri,
                self._client.complete_multipart_upload,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [parts[number] for number in sorted(parts)]},
            )
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._call(
                    uri, self._client.abort_multipart_upload, Key=key, UploadId=upload_id
                )
            raise _first(error) from error

    def _put(self, path: Path, size: int, digest: bytes, **where: Any) -> None:
        with FileSlice(path, 0, size) as body:
            self._client.put_object(
                Body=body, ContentLength=size, ChecksumSHA256=_encoded(digest), **where
            )

    def _put_part(self, piece: FileSlice, **where: Any) -> dict[str, Any]:
        with piece as body:
            checksum = _encoded(body.digest())
            answer = self._client.upload_part(
                Body=body, ContentLength=body.size, ChecksumSHA256=checksum, **where
            )
        return {
            "ETag": answer["ETag"],
            "PartNumber": where["PartNumber"],
            "ChecksumSHA256": checksum,
        }

    def _fetch(self, path: Path, **where: Any) -> str:
        """Copy an object to a file; return the checksum that was stored with it, if any."""
        answer = self._client.get_object(**where)
        with path.open("wb") as file:
            for piece in answer["Body"].iter_chunks(PIECE_BYTES):
                file.write(piece)
        return str(answer["Metadata"].get(_DIGEST, ""))

    async def _call(self, uri: str, call: Callable[..., T], **arguments: Any) -> T:
        return await self._guarded(uri, partial(call, Bucket=self._bucket, **arguments))

    async def _guarded(self, uri: str, call: Callable[..., T], *arguments: Any) -> T:
        def run() -> T:
            with errors_of(uri):
                return call(*arguments)

        return await to_thread.run_sync(run, limiter=self._slots)


def _key(uri: str) -> str:
    address = parse(uri)
    return "/".join((address.bucket, *address.parts))


def _measured(path: Path) -> tuple[int, bytes]:
    return os.stat(path).st_size, digest_of(path)  # noqa: PTH116  # the size that is hashed next


def _encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _first(error: BaseException) -> BaseException:
    """Return the one error of a group, so that a caller sees what it would of a small file."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
