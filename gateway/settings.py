"""The gateway's limits. Sizes in bytes, times in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

MIB: Final = 1024 * 1024
HOUR: Final = 3600

JSON_BODY_BYTES: Final = 64 * 1024
"""Largest JSON body that is read."""
RECORD_BODY_BYTES: Final = 768 * 1024
"""Of a provider's record; a message of the bus holds 1 MiB."""
OBJECT_INFO_BYTES: Final = 8 * MIB
"""Of a body with what a ComfyUI host says of its classes: all of it, custom nodes too."""


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """What an operator may change."""

    version: str = "0.1.0"
    static: Path | None = None
    """The built page; ``None`` means the folder ``static`` beside this package."""

    max_upload_bytes: Annotated[int, Meta(gt=0)] = 512 * MIB
    upload_expiry_s: Annotated[int, Meta(gt=0)] = 24 * HOUR
    """How long an unfinished resumable upload is kept after its last byte."""
    open_uploads: Annotated[int, Meta(gt=0)] = 32
    """Unfinished resumable uploads of one tenant at a time."""
    inspect_timeout_s: Annotated[float, Meta(gt=0)] = 60.0
    """How long Video Intake may look at an upload."""

    allowed_origins: tuple[str, ...] = ()
    """Origins besides the gateway's own that may open a WebSocket, as ``https://host:port``."""
    ws_auth_s: Annotated[float, Meta(gt=0)] = 5.0
    ws_heartbeat_s: Annotated[float, Meta(gt=0)] = 20.0
    ws_write_s: Annotated[float, Meta(gt=0)] = 10.0
    """A client that takes no frame for so long is slow, and closed."""
    ws_queue: Annotated[int, Meta(gt=0)] = 64
    """Frames that may wait for one client."""
    ws_channels: Annotated[int, Meta(gt=0)] = 100
    ws_commands_per_s: Annotated[int, Meta(gt=0)] = 20
    ws_per_user: Annotated[int, Meta(gt=0)] = 20
    """Connections of one user at a time."""
