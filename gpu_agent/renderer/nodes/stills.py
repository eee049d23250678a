"""Nodes that read and write single pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from gpu_agent.renderer.errors import RendererError
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, Saved
from gpu_agent.renderer.nodes.values import Bytes, Frame, Held, truncated

_EMPTY_MASK_SIDE: Final = 64
_SAMPLES_LIMIT: Final = 16384 * 16384


def load_image(inputs: Inputs, run: Run) -> Result:
    """LoadImage: colours as RGB, and a mask that is 1 where the picture is transparent."""
    name = inputs.text("image")
    path = run.folders.source(name)
    if path is None:
        raise RendererError(f"no such image: {name}")
    picture = _decoded(path)
    run.allow(picture.size * 4)
    mask: Frame = np.zeros((_EMPTY_MASK_SIDE, _EMPTY_MASK_SIDE), np.float32)
    if picture.shape[2] == 4:
        mask = 1 - picture[..., 3].astype(np.float32) / np.float32(255)
    colors: Frame = picture[..., :3].copy()
    return Result(values=(Held((colors,)), Held((mask,))))


def _decoded(path: Path) -> Frame:
    """Return the picture as RGB or RGBA."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None or picture.size > _SAMPLES_LIMIT:
        raise RendererError(f"cannot identify image file: {path.name}")
    if picture.dtype == np.uint16:
        picture = (picture // 256).astype(np.uint8)
    if picture.ndim == 2:
        # ComfyUI widens 8-bit grey to 16 bit by a shift, so that white stays just below 1
        grey = picture.astype(np.float32) * np.float32(256) / np.float32(65535)
        return np.repeat(grey[..., None], 3, axis=-1)
    if picture.ndim == 3 and picture.shape[2] == 4:
        return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)  # type: ignore[return-value]  # 8-bit in, 8-bit out
    # read again, because only the plain colour mode turns a photo upright
    upright = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if upright is None:
        raise RendererError(f"cannot identify image file: {path.name}")
    return cv2.cvtColor(upright, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]  # 8-bit in, 8-bit out


def save_image(inputs: Inputs, run: Run) -> Result:
    """SaveImage: one PNG per image, without the graph in its metadata."""
    return _save(inputs, run, "output", inputs.text("filename_prefix"))


def preview_image(inputs: Inputs, run: Run) -> Result:
    """PreviewImage: as SaveImage, into the folder that is emptied at the start."""
    return _save(inputs, run, "temp", "preview")


def send_images(inputs: Inputs, run: Run) -> Result:
    """SaveImageWebsocket: every image goes to the client as PNG, and nowhere else."""
    batch = inputs.batch("images")
    for index, frame in enumerate(batch.frames()):
        total = max(index + 1, batch.length.hint)
        run.show_each(index, total, _png(truncated(frame)))
    return Result()


def _save(inputs: Inputs, run: Run, kind: str, prefix: str) -> Result:
    batch = inputs.batch("images")
    folder, subfolder, stem, number = run.folders.next_name(kind, prefix)
    saved = []
    for index, frame in enumerate(batch.frames()):
        run.check()
        name = f"{stem}_{number + index:05}_.png"
        (folder / name).write_bytes(_png(truncated(frame)))
        saved.append(Saved(filename=name, subfolder=subfolder, type=kind))
        run.tick(index + 1, max(index + 1, batch.length.hint))
    return Result(values=(batch,), saved=tuple(saved))


def _png(picture: Bytes) -> bytes:
    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, code))
    if not done:
        raise RendererError("the picture cannot be encoded")
    return data.tobytes()
