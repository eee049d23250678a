"""The spelling of media addresses: ``s3://bucket/key``, the same for every store.

The rules are narrower than S3's own, so that one address means one object on every store and no
key can climb out of a folder or name a file that is still being written.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from media.errors import InvalidUriError

SCHEME: Final = "s3://"
MAX_KEY_BYTES: Final = 1024
MAX_PART_BYTES: Final = 200
"""Below the 255 bytes of a file name, so that a temporary name beside it fits too."""

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")


class Address(Struct, frozen=True):
    """Where an object is: the bucket, and the parts of its key."""

    bucket: str
    parts: tuple[str, ...]


def parse(uri: str) -> Address:
    """Return the bucket and the key parts of an address.

    Raises:
        InvalidUriError: not ``s3://bucket/key``, or a key that could leave its bucket.
    """
    if not uri.startswith(SCHEME):
        raise InvalidUriError(uri, "it does not start with s3://")
    bucket, slash, key = uri.removeprefix(SCHEME).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidUriError(uri, "the bucket has letters it may not have")
    if not slash or not key:
        raise InvalidUriError(uri, "it has no key")
    parts = tuple(key.split("/"))
    for part in parts:
        _check(uri, part)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidUriError(uri, f"the key is longer than {MAX_KEY_BYTES} bytes")
    return Address(bucket, parts)


def parse_prefix(prefix: str) -> str:
    """Return a prefix of addresses as it is; it may end in a slash.

    Raises:
        InvalidUriError: what stands before that slash is no address.
    """
    parse(prefix.removesuffix("/"))
    return prefix


def _check(uri: str, part: str) -> None:
    if not part:
        raise InvalidUriError(uri, "a part of the key is empty")
    if part.startswith("."):
        raise InvalidUriError(uri, "a part of the key starts with a dot")
    if "\\" in part or not part.isprintable():
        raise InvalidUriError(uri, "the key has a backslash or a control character")
    if len(part.encode()) > MAX_PART_BYTES:
        raise InvalidUriError(uri, f"a part of the key is longer than {MAX_PART_BYTES} bytes")
