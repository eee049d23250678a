"""Pictures of what is being made, out of the binary frames of a host's socket. Pure."""

from __future__ import annotations

from typing import Final

_PICTURE: Final = 1
_PICTURE_OF: Final = 4
_JPEG: Final = 1
_JPEG_MARK: Final = b"\xff\xd8"


def preview(frame: bytes) -> bytes | None:
    """Return the JPEG of a binary frame, ``None`` when it carries none.

    Type 1 is a picture behind its format, type 4 one behind a JSON text that tells whose it is.
    """
    kind, length = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:8], "big")
    if kind == _PICTURE and length == _JPEG:
        picture = frame[8:]
    elif kind == _PICTURE_OF:
        picture = frame[8 + length :]
    else:
        return None
    return picture if picture.startswith(_JPEG_MARK) else None
