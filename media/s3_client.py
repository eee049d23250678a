"""The boto3 client that the stores use, and what its errors mean here."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from media.errors import MediaNotFoundError, StoreAwayError, StoreFullError, UploadUnknownError

_CONNECT_S: Final = 5
_READ_S: Final = 60
_ATTEMPTS: Final = 4
_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_NO_UPLOAD: Final = frozenset(
    {"NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"}
)
_FULL: Final = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"})


class S3Settings(Struct, frozen=True, kw_only=True):
    """Where the bucket is, and who we are there. Without keys boto3 looks where it always does."""

    bucket: str
    endpoint_url: str = ""
    """Empty for AWS itself."""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = ""


def s3_client(settings: S3Settings, *, connections: int) -> Any:
    """Return a client; it may be used by several threads."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=settings.endpoint_url or None,
        region_name=settings.region,
        aws_access_key_id=settings.access_key_id or None,
        aws_secret_access_key=settings.secret_access_key or None,
        config=Config(
            signature_version="s3v4",
            # a server of one's own has no name for each bucket
            s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=connections,
            # checksums are given where they are known; not every server takes the trailing kind
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextmanager
def errors_of(uri: str) -> Iterator[None]:
    """Turn what boto3 raises into what a store promises."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _ABSENT:
            raise MediaNotFoundError(uri) from error
        if code in _NO_UPLOAD:
            raise UploadUnknownError(uri, code) from error
        if code in _FULL:
            raise StoreFullError(uri) from error
        raise StoreAwayError(uri, str(error)) from error
    except BotoCoreError as error:
        raise StoreAwayError(uri, str(error)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFullError(uri) from error
        raise
