"""The switches of a renderer in a process of its own."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx

from tests.integration.renderer.process import free_port, renderer_process

KILLED = 137
PATIENCE_S = 30
PICTURE = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


async def test_a_process_dies_where_it_is_told_and_forgets_all(tmp_path: Path) -> None:
    """As under SIGKILL: the whole stack can be tested against a host that dies in the middle."""
    at = '{"kill_at": {"class_type": "EmptyImage"}}'
    port = free_port()
    async with renderer_process(tmp_path, switches=at, port=port) as (base, process):
        async with httpx.AsyncClient(base_url=base) as client:
            prompt_id = (await client.post("/prompt", json={"prompt": PICTURE})).json()["prompt_id"]
        with anyio.fail_after(PATIENCE_S):
            status = await process.wait()
    # the variable is for all renderers of a stack, and does not make them die here
    async with (
        renderer_process(tmp_path, port=port, environment='{"burst_s": 2}') as (base, _),
        httpx.AsyncClient(base_url=base) as client,
    ):
        job = await client.get(f"/api/jobs/{prompt_id}")
        switches = (await client.get("/effectmesh/switches")).json()

    assert status == KILLED
    assert job.status_code == 404
    assert switches["burst_s"] == 2
    assert switches["kill_at"] is None
