"""Normalises a clip in the sandbox, or with the ffmpeg binary; says what it took."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from media.sandbox import Sandbox
from media.screen_model import find_screen_model
from media.verdicts import Normalized

WITHIN_S: Final = 120
AS_OURS: Final = (
    "-vf",
    "scale=1080:1920:flags=bicubic+accurate_rnd+full_chroma_int,format=yuv420p,setsar=1",
    *("-r", "30", "-c:v", "libx264", "-preset", "veryfast", "-crf", "19", "-threads", "2"),
    *("-x264-params", "mbtree=0"),
    *("-g", "60", "-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"),
    *("-movflags", "+faststart", "-map_metadata", "-1"),
)


def main(clip: str, *, how: str) -> dict[str, float]:
    """Do it once, in a child either way."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if how == "ffmpeg":
            _by_binary(Path(clip), Path(folder) / "made.mp4")
        else:
            screen = find_screen_model() if how == "screened" else None
            made = asyncio.run(Sandbox(screen=screen).normalize(Path(clip), Path(folder)))
            assert isinstance(made, Normalized), made
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": time.monotonic() - began,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
    }


def _by_binary(clip: Path, made: Path) -> None:
    from imageio_ffmpeg import get_ffmpeg_exe  # only the benchmarks have it

    quietly = ("-v", "error", "-nostdin", "-y", "-threads", "2")
    command = [get_ffmpeg_exe(), *quietly, "-i", str(clip), *AS_OURS, str(made)]
    subprocess.run(command, check=True, timeout=WITHIN_S)


if __name__ == "__main__":
    told: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(main(told["clip"], how=told["how"])), flush=True)
