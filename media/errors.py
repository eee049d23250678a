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


class SandboxBrokenError(RuntimeError):
    """The decoding child could not start, so nothing was learnt about any file."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the decoding child did not start: {detail}")
        self.detail = detail
