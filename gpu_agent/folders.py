"""Clearing up at the host: it has no route to delete a file, so this needs its folder.

Only what the agent itself put there is touched: its own uploads and the folders it had results
written to. Nothing is removed at once: whoever takes an attempt up after a crash may still want the
result, and a name that is free again is given out again.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync

UPLOADS: Final = "jobs"
"""The folder below the host's input and output in which everything of ours is."""
OLD_S: Final = 24 * 3600.0
"""What is older was left by an agent that died."""


def upload_name(prompt_id: str) -> str:
    """Return the name a clip is uploaded under: plain ASCII, of this run alone."""
    return f"{prompt_id}.mp4"


def output_folder(prompt_id: str) -> str:
    """Return the folder a run writes to: of this run alone, so no name is ever given out twice."""
    return f"{UPLOADS}/{prompt_id}"


class HostFolders:
    """The ``input`` and ``output`` folders of a ComfyUI on this machine."""

    def __init__(self, root: Path, *, now: Callable[[], float]) -> None:
        self._uploads = root / "input" / UPLOADS
        self._outputs = root / "output" / UPLOADS
        self._now = now

    async def clear(self, prompt_id: str) -> None:
        """Remove what one run left."""
        await run_sync(self._clear, prompt_id)

    async def clear_old(self) -> None:
        """Remove what runs of more than a day ago left."""
        await run_sync(self._clear_old)

    def _clear(self, prompt_id: str) -> None:
        with suppress(OSError):
            (self._uploads / upload_name(prompt_id)).unlink(missing_ok=True)
        shutil.rmtree(self._outputs / prompt_id, ignore_errors=True)

    def _clear_old(self) -> None:
        limit = self._now() - OLD_S
        for folder in (self._uploads, self._outputs):
            if not folder.is_dir():
                continue
            for each in folder.iterdir():
                with suppress(OSError):
                    if _is_ours(each.name) and each.lstat().st_mtime < limit:
                        self._clear(each.name.removesuffix(".mp4"))


def _is_ours(name: str) -> bool:
    with suppress(ValueError):
        return str(uuid.UUID(name.removesuffix(".mp4"))) == name.removesuffix(".mp4")
    return False
