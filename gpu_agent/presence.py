"""What an agent says of itself in the PRESENCE bucket, as often as its entry would expire."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.base import ProviderId


class Presence(Struct, frozen=True, kw_only=True):
    """One agent that is alive. The key is its ``agent_id``."""

    agent_id: str
    host: str
    gpu_type: str
    provider_ids: tuple[ProviderId, ...]
    slots: int
    at: datetime
    version: str = ""
    """The host's ComfyUI version."""
