"""``GET /view``: files of the three folders, with ranges, HEAD and ETag."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import cv2
import numpy as np

from gpu_agent.renderer.errors import OutsideFolderError
from gpu_agent.renderer.files import KINDS, Folders, annotated, is_file
from gpu_agent.renderer.web import BadBodyError, Request

_PIECE_BYTES: Final = 1 << 18
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_RGBA: Final = 4
_PREVIEW_QUALITY: Final = 90
_FORMS: Final[Mapping[str, tuple[str, int | None]]] = {
    "webp": ("webp", cv2.IMWRITE_WEBP_QUALITY),
    "jpeg": ("jpeg", cv2.IMWRITE_JPEG_QUALITY),
    "png": ("png", None),
}
_ACTIVE: Final = frozenset({".html", ".htm", ".svg", ".js", ".css", ".xml", ".xhtml"})


async def view(request: Request, folders: Folders) -> None:
    """Answer with a file, a part of it, or why not.

    Raises:
        BadBodyError: the file is no picture, and another form of the picture was asked for.
    """
    status, path = _chosen(request, folders)
    if path is None:
        await request.answer(status)
        return
    if {"preview", "channel"} & request.query.keys():
        kind, picture = await anyio.to_thread.run_sync(_other_form, path, request.query)
        await request.answer(200, picture, kind=kind)
        return
    size, headers = _described(path)
    if request.headers.get("if-none-match") == headers["etag"]:
        await request.start(304, headers)
        await request.write(b"")
        return
    start, end = 0, size
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is not None and asked[0] != "bytes=-":
        start, end = _part(asked, size)
        if start >= end:
            refused = {k: v for k, v in headers.items() if k not in ("etag", "last-modified")}
            await request.start(416, refused | {"content-range": f"bytes */{size}"})
            await request.write(b"")
            return
        status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    await request.start(status, headers | {"content-length": str(end - start)})
    if request.method != "HEAD":
        await _stream(request, path, start, end)
    await request.write(b"")


def _chosen(request: Request, folders: Folders) -> tuple[int, Path | None]:
    """Return the file that is asked for, or the status that refuses it."""
    if "filename" not in request.query:
        return 404, None
    name, kind = annotated(request.query["filename"], request.query.get("type", "output"))
    if not name or name.startswith("/") or ".." in name or kind not in KINDS:
        return 400, None
    subfolder = request.query.get("subfolder", "")
    try:
        folders.inside(kind, subfolder)
    except OutsideFolderError:
        return 403, None
    # only the base name counts; links inside the folders are followed
    path = folders.folder(kind) / subfolder / Path(name).name
    if "\0" in name or not is_file(path):
        return 404, None
    return 200, path


def _other_form(path: Path, query: Mapping[str, str]) -> tuple[str, bytes]:
    """Return a picture in fewer bytes, or without its transparency, or only that."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise BadBodyError(f"no picture: {path.name}", crashes=True)
    alpha = picture[..., 3] if picture.ndim == 3 and picture.shape[2] == _RGBA else None
    if query.get("channel") == "a":
        picture = np.full(picture.shape[:2], 255, np.uint8) if alpha is None else alpha
    elif alpha is not None:
        picture = picture[..., :3]
    form, _, quality = query.get("preview", "png").partition(";")
    suffix, flag = _FORMS.get(form, _FORMS["webp"])
    wanted = int(quality) if quality.isdigit() else _PREVIEW_QUALITY
    flags = [] if flag is None else [flag, min(max(wanted, 1), 100)]
    done, data = cv2.imencode(f".{suffix}", np.ascontiguousarray(picture), flags)
    if not done:
        raise BadBodyError(f"cannot be shown: {path.name}", crashes=True)
    return f"image/{suffix}", data.tobytes()


def _described(path: Path) -> tuple[int, dict[str, str]]:
    status = path.stat()
    name = path.name.replace('"', "%22")
    headers = {
        "x-content-type-options": "nosniff",
        "content-disposition": f'filename="{name}"'.encode().decode("latin-1"),
        "content-type": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        "etag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
        "last-modified": formatdate(status.st_mtime, usegmt=True),
        "accept-ranges": "bytes",
    }
    if path.suffix.lower() in _ACTIVE:
        headers["content-type"] = "application/octet-stream"
        headers["content-disposition"] = f"attachment; {headers['content-disposition']}"
        headers["cache-control"] = "no-store"
    return status.st_size, headers


def _part(asked: re.Match[str], size: int) -> tuple[int, int]:
    first, last = asked[1], asked[2]
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size


async def _stream(request: Request, path: Path, start: int, end: int) -> None:
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(start)
        left = end - start
        while left > 0:
            piece = await file.read(min(left, _PIECE_BYTES))
            if not piece:
                return
            left -= len(piece)
            await request.write(piece, more=True)
