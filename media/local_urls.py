"""Signed URLs for objects on a local disk: HMAC-SHA256 over method, address and end.

The key never leaves the process that signs and the one that serves. Whoever serves asks ``opened``
first; what it returns is the only address the URL is good for.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote

from media.address import SCHEME, parse
from media.errors import InvalidUriError, SignatureRefusedError
from media.store import MAX_URL_SECONDS

MIN_KEY_BYTES: Final = 32
_METHODS: Final = frozenset({"GET", "HEAD"})
_DIGITS: Final = 12


class LocalUrls:
    """Signs addresses below ``base_url``, and checks what comes back."""

    def __init__(self, *, key: bytes, base_url: str, now: Callable[[], datetime]) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the signing key has {len(key)} bytes, at least {MIN_KEY_BYTES}")
        self._key = key
        self._base = base_url.rstrip("/")
        self._now = now

    async def signed_url(self, uri: str, *, seconds: int) -> str:
        """Return a URL that answers GET and HEAD for so many seconds.

        Raises:
            InvalidUriError: not an address.
            ValueError: not between one second and ``MAX_URL_SECONDS``.
        """
        parse(uri)
        if not 1 <= seconds <= MAX_URL_SECONDS:
            raise ValueError(f"a URL is good for 1 to {MAX_URL_SECONDS} seconds, not {seconds}")
        ends = str(int(self._now().timestamp()) + seconds)
        path = quote(uri.removeprefix(SCHEME))
        return f"{self._base}/{path}?exp={ends}&sig={self._signature(uri, ends)}"

    def opened(self, method: str, path: str, *, exp: str, sig: str) -> str:
        """Return the address that a URL opens.

        ``path`` is what stands below ``base_url``, as a server hands it on: not quoted any more.

        Raises:
            SignatureRefusedError: it was altered, is over, or is no address.
        """
        uri = SCHEME + path
        if method not in _METHODS or not (exp.isascii() and exp.isdigit() and len(exp) <= _DIGITS):
            raise SignatureRefusedError("it was altered")
        if not hmac.compare_digest(self._signature(uri, exp).encode(), sig.encode()):
            raise SignatureRefusedError("it was altered")
        if int(exp) <= self._now().timestamp():
            raise SignatureRefusedError("its time is over")
        try:
            parse(uri)
        except InvalidUriError as error:
            raise SignatureRefusedError("it names no object") from error
        return uri

    def _signature(self, uri: str, ends: str) -> str:
        return hmac.new(self._key, f"read\n{uri}\n{ends}".encode(), hashlib.sha256).hexdigest()
