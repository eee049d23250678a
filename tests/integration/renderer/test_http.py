"""Files, refusals and bounds over HTTP."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from gpu_agent.renderer.behaviour import Limits
from tests.contract.renderer.support import Client, graph, renderer


async def upload(client: Client, name: str, data: bytes, **fields: str) -> tuple[int, str]:
    """Send a file; return the status and the name it got."""
    answer = await client.http.post("/upload/image", files={"image": (name, data)}, data=fields)
    told = answer.json()["name"] if answer.status_code == 200 else ""
    return answer.status_code, told


def found(root: Path, pattern: str) -> list[str]:
    """Return the files below a folder whose name matches."""
    return [path.name for path in root.rglob(pattern)]


async def test_uploads_follow_the_recorded_naming_rules(tmp_path: Path) -> None:
    """An agent uses the returned name; a wrong rule would run a job on another's clip."""
    async with renderer(tmp_path) as client:
        told = [
            await upload(client, "up.mp4", b"one"),
            await upload(client, "up.mp4", b"one"),
            await upload(client, "up.mp4", b"two"),
            await upload(client, "up.mp4", b"two"),
            await upload(client, "up.mp4", b"two", overwrite="True"),
            await upload(client, "up.mp4", b"three", overwrite="true"),
            await upload(client, "zero.mp4", b"", subfolder="a/b/c"),
        ]

    names = ["up.mp4", "up.mp4", "up (1).mp4", "up (1).mp4", "up (1).mp4", "up.mp4", "zero.mp4"]
    assert told == [(200, name) for name in names]
    assert (tmp_path / "input/up.mp4").read_bytes() == b"three"
    assert (tmp_path / "input/a/b/c/zero.mp4").read_bytes() == b""
    assert found(tmp_path, ".upload-*") == []


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("up.mp4", {"subfolder": "../../etc"}),
        ("up.mp4", {"subfolder": "/elsewhere"}),
        ("../../evil.mp4", {}),
        ("/elsewhere/evil.mp4", {}),
        ("up.mp4", {"type": "secret"}),
        ("n" * 300 + ".mp4", {}),
        ("newdir/up.mp4", {}),
    ],
)
async def test_an_upload_cannot_leave_its_folder(
    tmp_path: Path, name: str, fields: dict[str, str]
) -> None:
    """A name is data from outside."""
    root = tmp_path / "root"
    async with renderer(root) as client:
        status, _ = await upload(client, name, b"x", **fields)

    assert status == 400
    assert found(tmp_path, "evil*") + found(tmp_path, "up*") == []


async def test_an_upload_without_a_file_is_refused(tmp_path: Path) -> None:
    """No file, or no form at all."""
    async with renderer(tmp_path) as client:
        no_file = await client.http.post("/upload/image", files={"other": ("x", b"y")})
        no_form = await client.http.post("/upload/image", content=b"x")

    assert [no_file.status_code, no_form.status_code] == [400, 400]


async def test_a_body_beyond_the_limit_is_refused_and_not_kept(tmp_path: Path) -> None:
    """The disk of a host is not for whoever sends most."""
    limits = Limits(upload_bytes=10_000, json_bytes=1_000)
    async with renderer(tmp_path, limits=limits) as client:
        status, _ = await upload(client, "big.mp4", b"x" * 20_000)
        prompt = await client.http.post("/prompt", content=b" " * 2_000)

    assert (status, prompt.status_code) == (413, 413)
    assert not (tmp_path / "input/big.mp4").exists()
    assert found(tmp_path, ".upload-*") == []


async def test_a_file_is_served_whole_in_part_and_as_headers(tmp_path: Path) -> None:
    """Players seek by ranges; an agent may resume a download."""
    async with renderer(tmp_path) as client:
        (tmp_path / "output/sub").mkdir()
        (tmp_path / "output/sub/x.mp4").write_bytes(bytes(range(200)))
        where = "/view?filename=x.mp4&subfolder=sub"
        whole = await client.http.get("/api" + where)
        head = await client.http.head(where)
        part = await client.http.get(where, headers={"Range": "bytes=100-149"})
        tail = await client.http.get(where, headers={"Range": "bytes=-10"})
        bad = await client.http.get(where, headers={"Range": "bytes=9999-"})
        same = await client.http.get(where, headers={"If-None-Match": whole.headers["etag"]})

    assert (whole.status_code, whole.content) == (200, bytes(range(200)))
    assert whole.headers["content-type"] == "video/mp4"
    assert (head.status_code, head.headers["content-length"]) == (200, "200")
    assert (part.status_code, part.content) == (206, bytes(range(100, 150)))
    assert part.headers["content-range"] == "bytes 100-149/200"
    assert tail.content == bytes(range(190, 200))
    assert (bad.status_code, bad.headers["content-range"]) == (416, "bytes */200")
    assert same.status_code == 304


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("type=output", 404),
        ("filename=&type=output", 400),
        ("filename=nope.mp4", 404),
        ("filename=x.mp4&type=secret", 400),
        ("filename=../../x.py", 400),
        ("filename=/etc/passwd", 400),
        ("filename=passwd&subfolder=../../../../etc", 403),
        ("filename=passwd&subfolder=/etc", 403),
        ("filename=a%00b.mp4", 404),
        ("filename=clip.mp4%20[input]", 200),
    ],
)
async def test_a_view_is_refused_as_recorded(tmp_path: Path, query: str, status: int) -> None:
    """The statuses of the transcript, one by one."""
    async with renderer(tmp_path) as client:
        answer = await client.http.get(f"/view?{query}")

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({}, 400, "no_prompt"),
        ([1, 2], 400, "no_prompt"),
        ({"prompt": {}}, 400, "prompt_no_outputs"),
        ({"prompt": graph(), "prompt_id": "job-1"}, 400, "invalid_prompt_id"),
        ({"prompt": graph(), "prompt_id": str(uuid.uuid4()).upper()}, 400, "invalid_prompt_id"),
        ({"prompt": []}, 400, None),
        ({"prompt": graph(), "number": "abc"}, 400, None),
    ],
)
async def test_a_malformed_prompt_is_refused(
    tmp_path: Path, body: object, status: int, kind: str | None
) -> None:
    """With the recorded type; where a real server breaks with 500 this one says 400."""
    async with renderer(tmp_path) as client:
        answer = await client.http.post("/prompt", json=body)

    assert answer.status_code == status
    if kind is not None:
        assert answer.json()["error"]["type"] == kind


async def test_a_full_queue_refuses(tmp_path: Path) -> None:
    """Memory is bounded; the agent keeps the task."""
    async with renderer(tmp_path, limits=Limits(queue=0)) as client:
        answer = await client.http.post("/prompt", json={"prompt": graph()})

    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "queue_full"


async def test_foreign_pages_are_kept_out(tmp_path: Path) -> None:
    """A page in the user's browser must not drive a renderer on the loopback."""
    async with renderer(tmp_path) as client:
        base = str(client.http.base_url).rstrip("/")
        headers = [
            {"Origin": "http://evil.test"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": base},
        ]
        answers = [await client.http.get("/prompt", headers=h) for h in headers]

    assert [answer.status_code for answer in answers] == [403, 403, 200]


async def test_what_the_server_is_and_runs_can_be_asked(tmp_path: Path) -> None:
    """Agents compare templates with this to know what the host can run."""
    async with renderer(tmp_path) as client:
        stats = (await client.http.get("/system_stats")).json()
        features = (await client.http.get("/api/features")).json()
        everything = (await client.http.get("/object_info")).json()
        blur = (await client.http.get("/api/object_info/ImageBlur")).json()
        unknown = await client.http.get("/object_info/NoSuchNode")
        wrong = [
            (await client.http.request(method, path)).status_code
            for method, path in (("DELETE", "/prompt"), ("GET", "/no/such/path"), ("GET", "/jobs"))
        ]

    assert stats["system"]["comfyui_version"] == "0.33.0"
    assert stats["devices"][0]["vram_total"] > 0
    assert features["max_upload_size"] == 100 << 20
    assert everything["LoadVideo"]["input"]["required"]["file"][1]["options"] == ["clip.mp4"]
    assert blur == {"ImageBlur": everything["ImageBlur"]}
    assert unknown.json() == {}
    assert wrong == [405, 404, 404]


async def test_jobs_and_history_can_be_listed_and_forgotten(tmp_path: Path) -> None:
    """An agent that starts again looks up what its host already did."""
    async with renderer(tmp_path) as client:
        ids = [(await client.run(graph(p)))[0] for p in ("a", "b", "c")]
        page = (await client.http.get("/api/jobs?limit=2")).json()
        failed = (await client.http.get("/api/jobs?status=failed,pending")).json()
        bogus = await client.http.get("/api/jobs?status=bogus")
        none = await client.http.get("/api/jobs?limit=0")
        last = (await client.http.get("/history?max_items=1")).json()
        await client.http.post("/history", json={"delete": [ids[0]]})
        left = (await client.http.get("/history")).json()
        cancelled = (await client.http.post("/api/jobs/cancel", json={"job_ids": ids})).json()
        malformed = await client.http.post("/api/jobs/cancel", json={"job_ids": ["nope"]})

    assert page["pagination"] == {"offset": 0, "limit": 2, "total": 3, "has_more": True}
    assert set(last) == {ids[2]}
    assert set(left) == set(ids[1:])
    assert failed["jobs"] == []
    assert (bogus.status_code, none.status_code, malformed.status_code) == (400, 400, 400)
    assert cancelled == {"cancelled": False}


async def test_the_handshake_is_answered_with_the_servers_flags(tmp_path: Path) -> None:
    """Only as the first frame; what a client says later has no effect."""
    async with renderer(tmp_path) as client:
        await client.socket.send('{"type":"feature_flags","data":{}}')
        first = await client.hear()
        await client.socket.send('{"type":"feature_flags","data":{}}')
        _, messages = await client.run(graph())

    assert first["type"] == "feature_flags"
    assert first["data"]["supports_preview_metadata"] is True
    assert "feature_flags" not in [m["type"] for m in messages]
