"""A gateway that takes uploads, with a Video Intake that accepts everything."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import anyio
from msgspec import Struct

from actors.runtime.contract import SystemClock
from gateway.app import create_app, serve
from gateway.identity import Role, TokenEntry, Tokens, hash_of
from gateway.settings import GatewaySettings
from media.local_store import LocalMediaStore
from schemas.asks import InspectUpload, UploadInspected
from schemas.base import Message, TenantId, UserId
from schemas.routing import EffectRoute
from schemas.video import VideoMetadata

T = TypeVar("T", bound=Struct)
TOKEN = "bench"


class Accepting:
    """A bus on which every upload is fine."""

    async def publish(self, said: Message) -> None:
        """Drop it."""

    async def ask(self, question: Struct, answer: type[T], *, timeout: float = 5.0) -> T:
        """Accept at once."""
        del timeout
        assert isinstance(question, InspectUpload)
        seen = VideoMetadata(
            duration_ms=1, resolution="2x2", fps=25.0, codec="h264", file_size_bytes=1
        )
        told = UploadInspected(video_id=question.video_id, accepted=True, metadata=seen)
        assert isinstance(told, answer)
        return told

    def follow_progress(
        self, tenant_id: str, job_id: str, *, after: int = 0
    ) -> AbstractAsyncContextManager[Any]:
        """Follow nothing."""
        raise NotImplementedError

    def effects(self) -> Mapping[str, EffectRoute]:
        """Offer nothing."""
        return {}

    def providers(self) -> Collection[str]:
        """Know nobody."""
        return ()

    def alive(self) -> bool:
        """Answer."""
        return True


async def main() -> None:
    """Serve; say the address, and at each line what memory is held and was held at most since."""
    who = TokenEntry(
        name="bench",
        sha256=hash_of(TOKEN),
        tenant_id=TenantId("tnt_1"),
        user_id=UserId("usr_1"),
        role=Role.USER,
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        app = create_app(
            bus=Accepting(),
            store=LocalMediaStore(root=Path(name) / "media"),
            tokens=Tokens([who]),
            uploads_dir=Path(name) / "incoming",
            clock=SystemClock(),
            settings=GatewaySettings(),
        )
        async with anyio.create_task_group() as group:
            group.start_soon(_serve, app)
            for _ in range(int(json.loads(sys.argv[1])["lines"])):
                await asyncio.to_thread(sys.stdin.readline)
                said = {f"{key}_kib": _status(field) for key, field in FIELDS.items()}
                print(json.dumps(said), flush=True)
                _forget_the_peak()
            group.cancel_scope.cancel()


FIELDS = {"rss": "VmRSS", "peak": "VmHWM"}


def _forget_the_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


async def _serve(app: Any) -> None:
    def ready(address: str) -> None:
        print(json.dumps({"address": address}), flush=True)

    await serve(app, host="127.0.0.1", port=0, ready=ready)


if __name__ == "__main__":
    asyncio.run(main())
