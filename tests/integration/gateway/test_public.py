"""What needs no token: the gallery, health, the page, and how errors and headers look."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.asks import GalleryItem
from tests.builders import NOON
from tests.integration.gateway.world import CLIP, World

ANYBODY = {"Authorization": ""}
VIDEO = "/v1/gallery/fx_1/video"


async def published(folder: Path) -> World:
    """Return a world with one published effect."""
    world = World(folder)
    uri = "s3://gallery/fx_1/rev_1.mp4"
    clip = folder / "clip.mp4"
    clip.write_bytes(CLIP)
    await world.store.put_file(uri, clip, content_type="video/mp4")
    world.bus.gallery["fx_1"] = GalleryItem(
        effect_id="fx_1",
        revision_id="rev_1",
        revision=1,
        effect_type="color_correction",
        title="Warm evening",
        video_uri=uri,
        content_hash="abc",
        published_at=NOON,
    )
    return world


async def test_the_gallery_is_open(tmp_path: Path) -> None:
    """Published is published."""
    async with (await published(tmp_path)).gateway() as client:
        page = await client.get("/v1/gallery", headers=ANYBODY)
        shown = await client.get("/v1/gallery/fx_1", headers=ANYBODY)
        absent = await client.get("/v1/gallery/fx_2", headers=ANYBODY)
        whole = await client.get(VIDEO, headers=ANYBODY)

    assert page.json()["effects"] == [shown.json()]
    assert absent.status_code == 404
    assert (whole.status_code, whole.content) == (200, CLIP)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-disposition"] == 'inline; filename="rev_1.mp4"'
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in whole.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=4096-", 206, slice(4096, None)),
        ("bytes=-10", 206, slice(-10, None)),
        ("bytes=0-999999", 206, slice(0, None)),
        ("bytes=0-1,5-6", 200, slice(0, None)),
        ("lines=1-2", 200, slice(0, None)),
    ],
)
async def test_a_player_gets_the_part_it_asks_for(
    tmp_path: Path, wanted: str, status: int, span: slice
) -> None:
    """Seeking in a browser is a Range request."""
    async with (await published(tmp_path)).gateway() as client:
        answer = await client.get(VIDEO, headers={"Range": wanted})

    assert (answer.status_code, answer.content) == (status, CLIP[span])
    assert int(answer.headers["content-length"]) == len(CLIP[span])
    assert ("content-range" in answer.headers) == (status == 206)


async def test_a_range_behind_the_end_is_refused_with_the_size(tmp_path: Path) -> None:
    """The player can ask again."""
    async with (await published(tmp_path)).gateway() as client:
        answer = await client.get(VIDEO, headers={"Range": "bytes=99999-"})

    assert (answer.status_code, answer.json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == f"bytes */{len(CLIP)}"


async def test_a_clip_that_is_known_is_not_sent_again(tmp_path: Path) -> None:
    """The ETag is the content's own."""
    async with (await published(tmp_path)).gateway() as client:
        head = await client.head(VIDEO)
        etag = head.headers["etag"]
        known = await client.get(VIDEO, headers={"If-None-Match": etag})
        changed = await client.get(VIDEO, headers={"Range": "bytes=0-3", "If-Range": '"old"'})

    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(CLIP)
    assert head.headers["accept-ranges"] == "bytes"
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert changed.content == CLIP


async def test_an_effect_whose_clip_is_gone_is_not_found(tmp_path: Path) -> None:
    """A lost file is a problem, not a stack trace."""
    world = await published(tmp_path)
    await world.store.delete("s3://gallery/fx_1/rev_1.mp4")
    async with world.gateway() as client:
        answer = await client.get(VIDEO)

    assert (answer.status_code, answer.json()["code"]) == (404, "MEDIA_NOT_FOUND")


async def test_health_says_what_is_missing(tmp_path: Path) -> None:
    """Alive is not ready."""
    world = World(tmp_path, version="9.9.9")
    async with world.gateway() as client:
        ready = await client.get("/readyz", headers=ANYBODY)
        world.bus.down = True
        world.bus.routes = {}
        away = await client.get("/readyz", headers=ANYBODY)
        alive = await client.get("/livez", headers=ANYBODY)
        version = await client.get("/version", headers=ANYBODY)

    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert away.status_code == 503
    assert {name: part["ok"] for name, part in away.json()["parts"].items()} == {
        "bus": False,
        "manifest": False,
    }
    assert alive.status_code == 200
    assert version.json()["version"] == "9.9.9"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/jobs", 401),
        ("GET", "/v1/gallery?limit=many", 400),
    ],
)
async def test_every_error_is_a_problem_with_all_its_members(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    """Clients need one way to read errors, the framework's own included."""
    async with World(tmp_path).gateway() as client:
        answer = await client.request(method, path, headers=ANYBODY)

    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"].startswith("urn:effectmesh:problem:")
    assert all(problem[member] for member in ("title", "detail", "code", "hint", "instance"))
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_bug_shows_no_trace(tmp_path: Path) -> None:
    """The log has it; the client has a code."""
    world = World(tmp_path)
    world.bus.gallery = None  # type: ignore[assignment]  # this is the bug
    async with world.gateway() as client:
        answer = await client.get("/v1/gallery")

    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "NoneType" not in answer.text
    assert "Traceback" not in answer.text


async def test_without_a_built_page_the_root_says_how_to_build_it(tmp_path: Path) -> None:
    """Somebody who starts from the sources is not left with a 404."""
    async with World(tmp_path, static=tmp_path / "none").gateway() as client:
        answer = await client.get("/")

    assert answer.headers["content-type"].startswith("text/html")
    assert "make web" in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_the_built_page_is_served_and_nothing_beside_it(tmp_path: Path) -> None:
    """Exactly the files that were there at the start."""
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html>page")
    (static / "assets" / "app-1a.js").write_text("let a;")
    (tmp_path / "secret").write_text("x")
    async with World(tmp_path, static=static).gateway() as client:
        page = await client.get("/")
        script = await client.get("/assets/app-1a.js")
        others = [await client.get(p) for p in ("/secret", "/..%2Fsecret", "/assets/no.js")]

    assert page.text == "<!doctype html>page"
    assert page.headers["content-type"].startswith("text/html")
    assert "javascript" in script.headers["content-type"]
    assert "immutable" in script.headers["cache-control"]
    assert [other.status_code for other in others] == [404, 404, 404]


async def test_the_interface_description_is_openapi_and_names_the_problems(tmp_path: Path) -> None:
    """Types of the page and the fuzzer are made from it."""
    async with World(tmp_path).gateway() as client:
        described = (await client.get("/schema/openapi.json")).json()

    assert described["openapi"].startswith("3.1")
    assert "422" in described["paths"]["/v1/jobs"]["post"]["responses"]
