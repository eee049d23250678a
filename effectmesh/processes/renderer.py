"""One embedded renderer: ComfyUI's API on this machine's CPU."""

from __future__ import annotations

from functools import partial

import anyio

from effectmesh.settings import Settings
from gpu_agent.renderer.server import serve


async def main(settings: Settings, stopping: anyio.Event, *, port: int, number: int) -> None:
    """Serve until ``stopping``."""
    root = settings.home / "renderers" / str(number)
    root.mkdir(parents=True, exist_ok=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, root=root, port=port))
        await stopping.wait()
        tasks.cancel_scope.cancel()
