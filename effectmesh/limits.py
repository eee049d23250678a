"""What a clip may be, by the settings."""

from __future__ import annotations

from effectmesh.settings import Settings
from media.verdicts import IntakeLimits


def limits_of(settings: Settings) -> IntakeLimits:
    """Return what a clip may be."""
    return IntakeLimits(
        max_bytes=settings.max_upload_mb * 1_000_000, max_duration_ms=settings.max_duration_s * 1000
    )
