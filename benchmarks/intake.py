"""What an upload costs: a clip brought into shape, compared with the ffmpeg binary, and a large
body on its way through the gateway.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx

from benchmarks.footage import HEIGHT, SECONDS, WIDTH, write_portrait
from benchmarks.results import Outcome, Seen, ratios, row
from benchmarks.running import SLOW_ROUNDS, answer_of, program, spread
from benchmarks.workloads.receiving import TOKEN

UPLOAD_BYTES: Final = 200 * 1000 * 1000
WARM_BYTES: Final = 5 * 1000 * 1000
PIECE: Final = bytes(64 * 1024)
WITHIN_S: Final = 120.0
OURS, BINARY, SCREENED = "ours", "ffmpeg", "screened"


async def run() -> Outcome:
    """Measure in turn, several times."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        clip = write_portrait(Path(folder) / "clip.mp4")
        for _ in range(SLOW_ROUNDS):
            for how in (OURS, BINARY, SCREENED):
                said = await answer_of("normalizing", clip=str(clip), how=how)
                for what, value in said.items():
                    found[how][what].append(value)
    growth = [await uploaded() for _ in range(SLOW_ROUNDS)]
    ours, binary = found[OURS], found[BINARY]
    return Outcome(
        rows=[
            row("intake.normalize", ours["wall_s"]),
            row("intake.memory", ours["peak_mib"], worst=True),
            row(
                "intake.ffmpeg",
                ratios(ours["wall_s"], binary["wall_s"]),
                peer=binary["wall_s"],
            ),
            row("intake.upload", growth, worst=True),
        ],
        seen=[
            Seen(
                what=f"{how}, {SECONDS} s of {WIDTH}x{HEIGHT}",
                wall=spread(took["wall_s"], "s", digits=1),
                cpu=spread(took["cpu_s"], "s", digits=1),
                remark=spread(took["peak_mib"], "MiB"),
            )
            for how, took in found.items()
        ],
    )


async def uploaded() -> float:
    """Return by how many MiB a gateway grew at most while it took a large upload."""
    async with program("receiving", lines=2) as gateway:
        address = (await gateway.says())["address"]
        async with httpx.AsyncClient(
            base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=WITHIN_S
        ) as client:
            await _send(client, WARM_BYTES)
            await gateway.tell()
            before = await gateway.says()
            await _send(client, UPLOAD_BYTES)
            await gateway.tell()
            after = await gateway.says()
    return float(after["peak_kib"] - before["rss_kib"]) / 1024


async def _send(client: httpx.AsyncClient, size: int) -> None:
    answer = await client.post("/v1/uploads", content=_body(size))
    answer.raise_for_status()


async def _body(size: int) -> AsyncIterator[bytes]:
    for at in range(0, size, len(PIECE)):
        yield PIECE[: size - at]
