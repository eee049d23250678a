"""The connection to a server of models, which a process holds while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import anyio
import httpx

from effectmesh.settings import SettingError

MAX_KEY: Final = 4_096
"""Characters of a key's file."""


class ModelLine:
    """An HTTP client for one named server, closed when everything else has ended."""

    def __init__(
        self, name: str, *, url: str, model: str, key: str, key_file: str, deadline_s: float
    ) -> None:
        """Read what is needed; nothing is sent.

        Raises:
            SettingError: the server is named by half, or its key cannot be read.
        """
        prefix = f"EFFECTMESH_{name.upper()}"
        if not model:
            raise SettingError(f"{prefix}_URL also needs {prefix}_MODEL")
        self.name = name
        self.url = url
        self.model = model
        self.key = _read(key_file, f"{prefix}_KEY_FILE") if key_file else key
        self.client = httpx.AsyncClient(timeout=deadline_s)

    def parts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield what holds the line."""
        yield f"line to the {self.name}", self._hold

    async def _hold(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.client.aclose()


def _read(file: str, setting: str) -> str:
    try:
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(MAX_KEY).strip()
    except (OSError, UnicodeError) as error:
        raise SettingError(f"{setting}: {error}") from error
