"""``POST /upload/image``: any file, streamed to disk, under the naming rules of real servers."""

from __future__ import annotations

import filecmp
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final

import anyio
import anyio.to_thread
from multipart import (  # type: ignore[import-untyped]  # the library has no types
    MultipartError,
    PushMultipartParser,
    parse_options_header,
)

from gpu_agent.renderer.errors import OutsideFolderError
from gpu_agent.renderer.files import KINDS, Folders
from gpu_agent.renderer.web import BadBodyError, Request

_FIELD_BYTES: Final = 4096
_FIELDS: Final = 16
_NAME_BYTES: Final = 255
_SHOWN_NAME: Final = 40
_COPIES: Final = 10_000
_FILE_FIELD: Final = "image"


async def receive(request: Request, folders: Folders, *, limit: int) -> dict[str, str]:
    """Store the file and return the name it got.

    Raises:
        BadBodyError: no multipart form, no file in it, or a name that may not be used.
        BodyTooLargeError: the request is longer than ``limit``.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise BadBodyError("not a multipart form")
    with NamedTemporaryFile(dir=folders.folder("temp"), prefix=".upload-", delete=False) as part:
        path = Path(part.name)
        try:
            fields = await _read(request.chunks(limit), options["boundary"], part)
            part.flush()
            return await anyio.to_thread.run_sync(_store, path, fields, folders)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.Path(path).unlink(missing_ok=True)


async def _read(chunks: AsyncIterator[bytes], boundary: str, part: IO[bytes]) -> dict[str, str]:
    """Write the file to ``part``; return the other fields, and its name as ``filename``."""
    fields: dict[str, str] = {}
    current = ""
    try:
        with PushMultipartParser(boundary, max_segment_count=_FIELDS) as parser:
            async for chunk in chunks:
                for event in parser.parse(chunk):
                    if event is None:
                        continue
                    if isinstance(event, bytes | bytearray):
                        if current == _FILE_FIELD:
                            await anyio.to_thread.run_sync(part.write, event)
                        elif len(fields[current]) + len(event) <= _FIELD_BYTES:
                            fields[current] += event.decode("utf-8", "replace")
                        continue
                    current = event.name
                    fields.setdefault(current, "")
                    if current == _FILE_FIELD:
                        # stored as browsers send it, and safe in a header later
                        fields["filename"] = (event.filename or "").replace('"', "%22")
    except MultipartError as problem:
        raise BadBodyError(str(problem)) from problem
    return fields


def _store(part: Path, fields: dict[str, str], folders: Folders) -> dict[str, str]:
    name, subfolder = fields.get("filename", ""), fields.get("subfolder", "")
    kind = fields.get("type") or "input"
    if not name:
        raise BadBodyError("no file in the form")
    if kind not in KINDS or len(Path(name).name.encode()) > _NAME_BYTES:
        told = f"a type or name that may not be used: {kind} {name[:_SHOWN_NAME]}"
        raise BadBodyError(told, crashes=True)
    try:
        target = folders.inside(kind, subfolder, name)
        folder = folders.inside(kind, subfolder)
    except (OutsideFolderError, OSError) as problem:
        raise BadBodyError(str(problem), crashes=name.startswith("/")) from problem
    folder.mkdir(parents=True, exist_ok=True)
    if not target.parent.is_dir() or target.is_dir():
        raise BadBodyError(f"no such folder: {name}", crashes=True)
    if fields.get("overwrite") not in ("true", "1"):
        target = _free(target, part)
    part.replace(target)
    shown = str(Path(name).with_name(target.name))
    return {"name": shown, "subfolder": subfolder, "type": kind}


def _free(target: Path, part: Path) -> Path:
    """Return the target, a copy with the same bytes, or the first ``name (n).ext`` not taken."""
    candidate = target
    for copy in range(1, _COPIES):
        if not candidate.exists() or filecmp.cmp(candidate, part, shallow=False):
            return candidate
        candidate = target.with_name(f"{target.stem} ({copy}){target.suffix}")
    raise BadBodyError(f"too many files of this name: {target.name}")
