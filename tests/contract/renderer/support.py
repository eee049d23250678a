"""Clips, graphs and a client for the tests of the renderer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import av
import httpx
import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection

from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.server import running_renderer

CLIENT = "99c0a256a9134babaa65736f52f27678"
PATIENCE_S = 30
TRANSCRIPTS = Path(__file__).with_name("transcripts")

Message = dict[str, Any]


def make_clip(
    path: Path,
    *,
    frames: int = 6,
    size: tuple[int, int] = (64, 48),
    sound: bool = False,
    rate: Fraction | int = 25,
) -> Path:
    """Write a small moving clip, with a tone where asked."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        ramp = np.add.outer(np.arange(size[1]), np.arange(size[0]))
        for index in range(frames):
            levels = ((ramp * 3 + index * 9) % 256).astype(np.uint8)
            pixels = np.stack([levels, levels[::-1], 255 - levels], axis=-1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            tone = np.sin(np.arange(frames * 320) / 5).astype(np.float32)[None] / 2
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = 8000, Fraction(1, 8000)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def graph(prefix: str = "out", *, file: str = "clip.mp4", **blur: object) -> dict[str, Any]:
    """Return load, blur, save: the graph of the first transcript."""
    effect = {"image": ["2", 0], "blur_radius": 2, "sigma": 1.0, **blur}
    return {
        "1": {"class_type": "LoadVideo", "inputs": {"file": file}},
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "3": {"class_type": "ImageBlur", "inputs": effect},
        "4": {
            "class_type": "CreateVideo",
            "inputs": {"images": ["3", 0], "fps": ["2", 2], "audio": ["2", 1]},
        },
        "5": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["4", 0],
                "filename_prefix": prefix,
                "format": "mp4",
                "format.codec": "h264",
            },
        },
    }


class Client:
    """What an agent does, and no more: HTTP and one socket."""

    def __init__(self, http: httpx.AsyncClient, socket: ClientConnection, root: Path) -> None:
        self.http = http
        self.socket = socket
        self.root = root

    async def submit(self, prompt: Mapping[str, Any], **more: object) -> dict[str, Any]:
        """Queue a graph and return the answer."""
        body = {"prompt": prompt, "client_id": CLIENT, **more}
        answer = await self.http.post("/prompt", json=body)
        assert answer.status_code == 200, answer.text
        decoded: dict[str, Any] = answer.json()
        return decoded

    async def hear(self) -> Message:
        """Return the next message."""
        with anyio.fail_after(PATIENCE_S):
            message: Message = json.loads(await self.socket.recv())
        return message

    async def hear_until(self, kind: str, **data: object) -> list[Message]:
        """Return the messages up to the first of a kind with such data."""
        heard = []
        while True:
            heard.append(await self.hear())
            told = heard[-1]["data"]
            if heard[-1]["type"] == kind and all(told.get(k) == v for k, v in data.items()):
                return heard

    async def run(self, prompt: Mapping[str, Any], **more: object) -> tuple[str, list[Message]]:
        """Run a graph to its closing message."""
        prompt_id = str((await self.submit(prompt, **more))["prompt_id"])
        return prompt_id, await self.hear_until("executing", node=None, prompt_id=prompt_id)

    async def history(self, prompt_id: str) -> dict[str, Any]:
        """Return the history entry of a prompt."""
        entry: dict[str, Any] = (await self.http.get(f"/history/{prompt_id}")).json()
        return entry.get(prompt_id, {})

    async def finish(self, prompt_id: str) -> None:
        """Wait for the end of a prompt without the socket."""
        with anyio.fail_after(PATIENCE_S):
            while "execution_status" not in await self.job(prompt_id):
                await anyio.lowlevel.checkpoint()

    async def job(self, prompt_id: str) -> dict[str, Any]:
        """Return a prompt as the jobs route shows it."""
        job: dict[str, Any] = (await self.http.get(f"/api/jobs/{prompt_id}")).json()
        return job


@asynccontextmanager
async def connected(base: str, root: Path, client_id: str = CLIENT) -> AsyncIterator[Client]:
    """Connect to a running renderer; the first ``status`` has been heard."""
    address = base.replace("http", "ws") + f"/ws?clientId={client_id}"
    async with (
        httpx.AsyncClient(base_url=base, timeout=PATIENCE_S) as http,
        # a bounded queue would stop reading, also the answer to a close
        websockets.connect(address, max_queue=None) as socket,
    ):
        client = Client(http, socket, root)
        await client.hear_until("status")
        yield client


@asynccontextmanager
async def renderer(
    root: Path, behaviour: Behaviour | None = None, *, limits: Limits | None = None
) -> AsyncIterator[Client]:
    """Run a renderer with one small clip and connect to it."""
    (root / "input").mkdir(parents=True, exist_ok=True)
    make_clip(root / "input" / "clip.mp4")
    async with (
        running_renderer(root, behaviour, limits=limits) as base,
        connected(base, root) as client,
    ):
        yield client


def kinds(messages: list[Message]) -> list[str]:
    """Return the types of some messages, without the per-frame progress."""
    kept = []
    for message in messages:
        states = message["data"].get("nodes")
        if message["type"] == "progress":
            continue
        if message["type"] == "progress_state" and any(
            node["state"] == "running" and node["value"] for node in states.values()
        ):
            continue
        kept.append(message["type"])
    return kept
