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
    """What it serves now; nothing while its host is stuck or stands aside."""
    slots: int
    at: datetime
    version: str = ""
    """The host's ComfyUI version."""
    lanes: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    """The effect types of the providers it serves."""
    loaded: tuple[str, ...] = ()
    """The models its host holds, as far as it was this agent that had them loaded."""
    busy: int = 0
    """Slots that render."""
    vram_total_bytes: int = 0
    vram_free_bytes: int = 0
    ram_total_bytes: int = 0
    ram_free_bytes: int = 0
    trouble: str = ""
    """Why it serves nothing; empty when it does."""
