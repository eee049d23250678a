"""What a server says about itself: its version, its memory, what it can do."""

from __future__ import annotations

import os
import platform
from typing import Any, Final

from gpu_agent.renderer import older
from gpu_agent.renderer.engine import Engine

COMPATIBLE_VERSION: Final = "0.33.0"


def system_stats(engine: Engine) -> dict[str, Any]:
    """Return the answer of ``/system_stats``; it tells nothing of the host's folders."""
    total, free = _memory()
    return {
        "system": {
            "os": platform.system().lower(),
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": older.VERSION if engine.behaviour.older else COMPATIBLE_VERSION,
            "required_frontend_version": None,
            "installed_templates_version": None,
            "required_templates_version": None,
            "comfy_package_versions": [],
            "python_version": platform.python_version(),
            "pytorch_version": "none",
            "embedded_python": False,
            "deploy_environment": "effectmesh-renderer",
            "argv": [],
        },
        "devices": [_device(engine, total, free)],
    }


def flags(engine: Engine) -> dict[str, Any]:
    """Return what the server can do, as ``/features`` and the handshake tell it."""
    told: dict[str, Any] = {
        "supports_preview_metadata": True,
        "max_upload_size": engine.limits.upload_bytes,
    }
    if engine.behaviour.older:
        return told
    return {
        **told,
        "supports_model_type_tags": True,
        "extension": {},
        "node_replacements": False,
        "assets": False,
    }


def _device(engine: Engine, total: int, free: int) -> dict[str, Any]:
    """Return the device that renders: this machine, or the GPU that is pretended with models."""
    pretended = engine.behaviour.models is not None
    if pretended:
        total, free = engine.behaviour.vram_bytes, engine.models.free_bytes()
    return {
        "name": "cuda:0 pretended" if pretended else "cpu",
        "type": "cuda" if pretended else "cpu",
        "index": 0 if pretended else None,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": total,
        "torch_vram_free": free,
    }


def _memory() -> tuple[int, int]:
    """Return this machine's memory, and what is free of it."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page
    # not every system tells what is free
    known = "SC_AVPHYS_PAGES" in os.sysconf_names
    return total, os.sysconf("SC_AVPHYS_PAGES") * page if known else total
