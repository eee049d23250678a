"""Whether a message is what its subject says. Pure.

The server's permissions are about subjects, so a body that names another kind, tenant or job than
its subject would get around them. Such a message is buried like any other that makes no sense.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from schemas.base import Message
from subjects import build

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a body may raise: it is no JSON, no UTF-8, or nested too deep to be followed."""


def mismatch(subject: str, heard: Struct, schema: str = "") -> str:
    """Return what subject, header and body say differently, or nothing.

    ``schema`` is the header of that name. Saga records, and subjects that name no job, such as
    those of renders, have nothing to be compared with.
    """
    if not isinstance(heard, Message):
        return ""
    kind = type(heard).__name__
    if schema and schema != kind:
        return f"written as {schema}, but its body is {kind}"
    addressed = build.addressed(subject)
    claimed = (kind, heard.tenant_id, heard.correlation_id)
    if addressed is None or addressed == claimed:
        return ""
    for what, said, meant in zip(_COMPARED, addressed, claimed, strict=True):
        if said != meant:
            return f"its subject names the {what} {said!r}, its body {meant!r}"
    return ""


_COMPARED: Final = ("kind", "tenant", "job")
