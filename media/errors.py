"""What can go wrong with stored media, named for the situation."""

from __future__ import annotations


class InvalidUriError(ValueError):
    """Not ``s3://bucket/key``, or a key that could leave its bucket."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(f"not a media address, {why}: {uri!r}")
        self.uri = uri
        self.why = why


class MediaNotFoundError(LookupError):
    """Nothing is stored under this address."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"nothing is stored at {uri}")
        self.uri = uri


class StoreFullError(OSError):
    """There is no room left; nothing was stored."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no room to store {what}")
        self.what = what


class StoreAwayError(OSError):
    """The store cannot be reached or does not answer; nothing is known to be stored."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"the media store did not answer for {what}: {why}")
        self.what = what


class MediaCorruptError(OSError):
    """The bytes that came are not those that were stored."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"the checksum of {uri} does not match its bytes")
        self.uri = uri


class UploadUnknownError(LookupError):
    """There is no such upload under way, or it has other parts."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(f"no upload to {uri} can be completed: {why}")
        self.uri = uri


class SignatureRefusedError(PermissionError):
    """A signed URL was altered, or its time is over."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the signed URL is refused, {why}")
        self.why = why


class SandboxBrokenError(RuntimeError):
    """The decoding child could not start, so nothing was learnt about any file."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the decoding child did not start: {detail}")
        self.detail = detail
