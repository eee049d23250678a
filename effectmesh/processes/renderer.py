"""One embedded renderer: ComfyUI's API on this machine's CPU.

With switches it misbehaves as they say, and they can be changed over HTTP while it runs.
"""

from __future__ import annotations

from functools import partial

import anyio

from effectmesh.settings import Settings
from gpu_agent.renderer.behaviour import decoded
from gpu_agent.renderer.server import serve


async def main(
    settings: Settings, stopping: anyio.Event, *, port: int, number: int, switches: str = ""
) -> None:
    """Serve until ``stopping``."""
    switches = switches or settings.renderer_switches
    root = settings.home / "renderers" / str(number)
    root.mkdir(parents=True, exist_ok=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            partial(
                serve,
                root=root,
                port=port,
                behaviour=decoded(switches),
                switchable=bool(switches),
            )
        )
        await stopping.wait()
        tasks.cancel_scope.cancel()
