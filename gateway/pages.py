"""The built page, when there is one; else a line that says how to build it."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Final

from litestar import Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import File, Response

INDEX: Final = "index.html"
HASHED: Final = "assets"
"""The folder whose file names change with their content."""

WITHOUT_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>effectmesh</title></head>
<body>
<h1>effectmesh is up</h1>
<p>The API answers under <a href="/v1/effects">/v1</a>; it is described in
<a href="/schema/openapi.json">/schema/openapi.json</a>, and
<a href="/v1/gallery">the gallery</a> is open to everybody.</p>
<p>The page is not built. Build it with <code>make web</code>, then start again.</p>
</body>
</html>
"""


def page_router(static: Path) -> Router:
    """Return the handlers of the page: one for each file that is there now, none for any other."""
    if not (static / INDEX).is_file():
        return Router(path="/", route_handlers=[_without_page], include_in_schema=False)
    handlers = [_handler(static, path) for path in _files(static)]
    return Router(path="/", route_handlers=handlers, include_in_schema=False)


def _files(static: Path) -> list[Path]:
    """Return what the build made; a dot file is the builder's own."""
    found = (path for path in static.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


@get("/", media_type="text/html")
async def _without_page() -> str:
    """Say that the API is up."""
    return WITHOUT_PAGE


def _handler(static: Path, path: Path) -> HTTPRouteHandler:
    relative = path.relative_to(static)
    url = "/" if str(relative) == INDEX else "/" + relative.as_posix()
    cache = "public, max-age=31536000, immutable" if relative.parts[0] == HASHED else "no-cache"

    async def page() -> Response[bytes] | File:
        return File(
            path,
            media_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            content_disposition_type="inline",
            headers={"Cache-Control": cache},
        )

    return get(url, name=f"page {url}")(page)
