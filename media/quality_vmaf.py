"""VMAF through the ``ffmpeg`` binary of the optional package ``imageio-ffmpeg``.

Netflix's own library with its own models, so the numbers are the published ones. It is told beside
the vector and not weighed: like PSNR it rewards blurring a drawn look.
"""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from msgspec import Struct

WITHIN_S: Final = 120.0
_LOG: Final = "vmaf.json"
_GUARD: Final = ("-nostdin", "-hide_banner", "-v", "error", "-protocol_whitelist", "file")
_FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,mpeg"


class NoVmafError(RuntimeError):
    """VMAF cannot be measured: no binary, or it gave up."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no vmaf: {why}")


class _Value(Struct):
    mean: float


class _Log(Struct):
    pooled_metrics: dict[str, _Value]


def find_binary() -> Path | None:
    """Return the binary that the package carries; nothing is imported and nothing fetched."""
    found = importlib.util.find_spec("imageio_ffmpeg")
    if found is None or found.origin is None:
        return None
    return next(iter(sorted((Path(found.origin).parent / "binaries").glob("ffmpeg-*"))), None)


def vmaf(
    source: Path,
    result: Path,
    *,
    every: int = 1,
    binary: Path | None = None,
    within_s: float = WITHIN_S,
) -> float:
    """Return the mean VMAF (v0.6.1) of a result, 0 to 100, at the input's size.

    ``every`` measures one frame in so many.

    Raises:
        NoVmafError: the package is not installed, or the binary failed or took too long.
    """
    binary = binary or find_binary()
    if binary is None:
        raise NoVmafError("the package imageio-ffmpeg is not installed")
    with TemporaryDirectory(prefix="vmaf-") as folder:
        measured = (
            "[0:v][1:v]scale2ref=flags=bicubic[result][source];"
            f"[result][source]libvmaf=log_fmt=json:log_path={_LOG}:n_subsample={every}:n_threads=2"
        )
        command = [str(binary), *_GUARD, *_input(result), *_input(source)]
        command += ["-lavfi", measured, "-f", "null", "-"]
        try:
            subprocess.run(
                command, cwd=folder, check=True, timeout=within_s, capture_output=True, env={}
            )
            log = msgspec.json.decode((Path(folder) / _LOG).read_bytes(), type=_Log)
        except (subprocess.SubprocessError, OSError, msgspec.DecodeError) as error:
            raise NoVmafError(str(error)) from error
    return log.pooled_metrics["vmaf"].mean


def _input(file: Path) -> tuple[str, ...]:
    # an absolute path after the protocol: a name like "concat:" or "-y" is only a name
    return ("-format_whitelist", _FORMATS, "-i", f"file:{file.resolve()}")
