"""Recordings that are no plain exchange: a server killed, races, and what the video nodes write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import av
import httpx
import pytest

from gpu_agent.renderer.behaviour import At, Behaviour, original
from gpu_agent.renderer.server import running_renderer
from tests.contract.renderer.recording import recorded
from tests.contract.renderer.replay import Player, playing
from tests.contract.renderer.sameness import own_run, plain, same_run
from tests.contract.renderer.support import (
    PATIENCE_S,
    Client,
    graph,
    kinds,
    make_clip,
    renderer,
)

RUNS = 10
RESULTS: Mapping[str, dict[str, Any]] = {
    event["name"]: event for event in recorded("22_media_results").events
}


async def test_a_killed_server_leaves_what_was_recorded(tmp_path: Path) -> None:
    """Transcript 10, with its two deaths: nobody is told, and nothing is known afterwards."""
    recording = recorded("10_server_killed")
    behaviour = original(first_number=recording.first_number())
    (tmp_path / "input").mkdir()
    make_clip(tmp_path / "input/bbb360.mp4")
    async with AsyncExitStack() as servers:
        base = await servers.enter_async_context(running_renderer(tmp_path, behaviour))
        port = int(base.rpartition(":")[2])
        async with playing(
            recording, base=base, behaviour=behaviour, upload=lambda *_: b"", headers={}
        ) as player:
            await player.prepare(0)
            for index, event in enumerate(recording.events):
                if event["ev"] == "ws_closed" and event["close_code"] == 1006:
                    behaviour.kill_at = At(class_type="SaveVideo", frame=1)
                if event["ev"] == "note" and event["text"] == "server started again":
                    await refused(player, base)
                    behaviour.first_number = 0
                    again = running_renderer(tmp_path, behaviour, port=port)
                    await servers.enter_async_context(again)
                    await player.reconnected()
                await player.step(index)

    heard = player.heard
    for conn, messages in heard.messages.items():
        told = [e for e in recording.events if e["ev"] == "ws_recv" and e["conn"] == conn]
        said, wanted = own_run(messages), same_run(told, heard)
        # a submission is told in the middle of a run, whose speed differs
        assert [m for m in said if m["type"] != "status"] == [
            m for m in wanted if m["type"] != "status"
        ]
    closed = {e["conn"]: e["close_code"] for e in recording.events if e["ev"] == "ws_closed"}
    assert heard.closed == closed
    for index, (status, body, _) in heard.answers.items():
        assert status == recording.events[index]["status"]
        assert plain(body, type(heard)()) == plain(recording.events[index]["body"], heard)


async def refused(player: Player, base: str) -> None:
    """Check that nobody answers."""
    with pytest.raises(httpx.ConnectError):
        await player.ask("/queue")
    with pytest.raises(OSError, match="connection attempts failed"):
        async with await anyio.connect_tcp("127.0.0.1", int(base.rpartition(":")[2])):
            pass


async def test_no_message_of_a_run_is_lost_to_a_race(tmp_path: Path) -> None:
    """Transcripts 18 and 20: the response, the messages and the entry come in no fixed order."""
    [races] = [e for e in recorded("20_history_race").events if "rows" in e]
    async with renderer(tmp_path) as client:
        empty = []
        for number in range(RUNS):
            answer = await client.submit(picture(number))
            messages = await client.hear_until("execution_success", prompt_id=answer["prompt_id"])
            empty.append(await client.history(answer["prompt_id"]))
            rest = await client.hear_until("executing", node=None, prompt_id=answer["prompt_id"])
            assert kinds(messages)[:4] == [
                "status",
                "status",
                "execution_start",
                "execution_cached",
            ]
            assert [m["type"] for m in rest] == ["status", "executing"]
            assert await client.history(answer["prompt_id"])

    assert all(row["polls_until_history"] == 1 for row in races["rows"])
    assert all(empty)


async def test_the_server_sends_no_pings_and_answers_the_clients(tmp_path: Path) -> None:
    """Transcript 18: only the client's pings find a dead line, so they have to be answered."""
    [keeping] = [e for e in recorded("18_races_and_latency").events if "keep-alive" in e["name"]]
    async with renderer(tmp_path) as client:
        with anyio.fail_after(PATIENCE_S):
            await (await client.socket.ping())

    assert keeping["reply_to_client_ping"] == "10"


async def test_the_server_answers_while_a_node_works(tmp_path: Path) -> None:
    """Transcript 18: polling is the remedy for a deaf socket."""
    async with renderer(tmp_path, Behaviour(slow_nodes={"ImageBlur": 3600.0})) as client:
        await client.submit(graph())
        await client.hear_until("executing", node="3")
        left = (await client.http.get("/prompt")).json()["exec_info"]["queue_remaining"]

    assert left == 1


def picture(number: int) -> dict[str, Any]:
    """Return a graph that no cache knows."""
    empty = {"width": 8, "height": 8, "batch_size": 1, "color": number}
    saved = {"images": ["1", 0], "filename_prefix": f"p{number}/o"}
    return {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "SaveImage", "inputs": saved},
    }


# transcript 22


def pipeline(
    *, file: str = "clip.mp4", effect: Mapping[str, Any] | None = None, fps: Any = None, **save: str
) -> dict[str, Any]:
    """Return load, perhaps an effect, save."""
    prompt = graph("media/out", file=file)
    prompt["4"]["inputs"]["fps"] = ["2", 2] if fps is None else fps
    prompt["5"]["inputs"] |= {name.replace("_", "."): value for name, value in save.items()}
    if effect is None:
        del prompt["3"]
        prompt["4"]["inputs"]["images"] = ["2", 0]
    else:
        prompt["3"] = dict(effect)
    return prompt


BLUR = {
    "class_type": "ImageBlur",
    "inputs": {"image": ["2", 0], "blur_radius": 2, "sigma": 1.0},
}
NOISE = {
    "class_type": "ImageAddNoise",
    "inputs": {"image": ["2", 0], "seed": 1, "strength": 0.2},
}
FIRST = {
    "class_type": "ImageFromBatch",
    "inputs": {"image": ["2", 0], "batch_index": 0, "length": 1},
}
SMALL = {
    "class_type": "ImageScale",
    "inputs": {
        "image": ["2", 0],
        "upscale_method": "bilinear",
        "width": 32,
        "height": 32,
        "crop": "disabled",
    },
}


def blended(second: Mapping[str, Any]) -> dict[str, Any]:
    """Return a blend with something made of the same clip."""
    blend = {"image1": ["2", 0], "image2": ["8", 0], "blend_factor": 0.5, "blend_mode": "normal"}
    prompt = pipeline(effect={"class_type": "ImageBlend", "inputs": blend})
    return {**prompt, "8": dict(second)}


MEDIA: Mapping[str, dict[str, Any]] = {
    "blur, first run": pipeline(effect=BLUR),
    "noise, seed 1": pipeline(file="silent.mp4", effect=NOISE),
    "decode and encode only": pipeline(),
    "fps input 12.5 of a 25 fps clip": pipeline(fps=12.5),
    "30000/1001 fps source": pipeline(file="film.mp4"),
    "no audio in the source, audio linked all the same": pipeline(file="silent.mp4"),
    "webm av1": pipeline(format="webm", format_codec="av1"),
    "mkv h264": pipeline(format="mkv"),
    "auto/auto": pipeline(format="auto", format_codec="auto"),
    "blend of batches of different length (60 and 1)": blended(FIRST),
    "blend of different sizes": blended(SMALL),
}
FRAMES = 6
AGAIN = {
    "blur, first run": "blur, run again from nothing, same prefix",
    "noise, seed 1": "noise, seed 1 again from nothing",
}


@pytest.mark.parametrize("name", MEDIA)
async def test_a_video_is_written_in_the_recorded_form(name: str, tmp_path: Path) -> None:
    """Codec, container, rate and sound are as recorded, no frame is lost, and bytes repeat."""
    expected = RESULTS[name]
    (tmp_path / "input").mkdir()
    make_clip(tmp_path / "input/silent.mp4")
    make_clip(tmp_path / "input/film.mp4", rate=Fraction(30000, 1001))
    async with renderer(tmp_path) as client:
        make_clip(tmp_path / "input/clip.mp4", sound=True)
        first = await written(client, MEDIA[name])
        await client.http.post("/free", json={"free_memory": True})
        second = await written(client, MEDIA[name]) if name in AGAIN else first

    shown = looked_at(first)
    assert shown["frames"] == FRAMES
    assert shown["keyframes"] >= 1
    for fact in ("codec", "pix_fmt", "rate", "container"):
        assert shown[fact] == expected[fact], fact
    assert shown["audio"] == [codec for codec, _ in expected["audio"]]
    if name in AGAIN:
        assert RESULTS[AGAIN[name]]["file_sha"] == expected["file_sha"]
        assert second.read_bytes() == first.read_bytes()


async def test_an_odd_size_fails_in_the_encoder_as_recorded(tmp_path: Path) -> None:
    """The user's fault or the workflow's, never the host's, so the words must be known."""
    expected = RESULTS["odd frame size 321x181"]
    crop = {"image": ["2", 0], "width": 31, "height": 21, "x": 0, "y": 0}
    async with renderer(tmp_path) as client:
        prompt = pipeline(effect={"class_type": "ImageCrop", "inputs": crop})
        _, messages = await client.run(prompt)

    [error] = [m["data"] for m in messages if m["type"] == "execution_error"]
    assert error["node_type"] == expected["node"]
    assert error["exception_message"] == expected["error"]


async def written(client: Client, prompt: Mapping[str, Any]) -> Path:
    """Run a graph and return the file it wrote."""
    prompt_id, _ = await client.run(prompt)
    entry = await client.history(prompt_id)
    assert entry["status"]["completed"], json.dumps(entry["status"])
    [file] = entry["outputs"]["5"]["images"]
    return Path(client.root, "output", file["subfolder"], file["filename"])


def looked_at(path: Path) -> dict[str, Any]:
    """Return what the recorder noted of a file."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        facts: dict[str, Any] = {
            "codec": video.codec_context.name,
            "pix_fmt": video.codec_context.pix_fmt,
            "rate": str(video.average_rate),
            "container": container.format.name,
            "audio": [stream.codec_context.name for stream in container.streams.audio],
        }
        frames = list(container.decode(video=0))
    return facts | {"frames": len(frames), "keyframes": sum(f.key_frame for f in frames)}


# what else section 9 of the protocol asks for


async def test_progress_is_cumulative_and_comes_with_every_frame(tmp_path: Path) -> None:
    """A user watches a long effect; a real server would be silent until it is over."""
    async with renderer(tmp_path) as client:
        _, messages = await client.run(graph())

    last = [m["data"]["nodes"] for m in messages if m["type"] == "progress_state"][-1]
    ticks = [m["data"]["value"] for m in messages if m["type"] == "progress"]
    assert ticks[-FRAMES:] == list(range(1, FRAMES + 1))
    assert set(last) == {"1", "2", "3", "4", "5"}
    assert {node["state"] for node in last.values()} == {"finished"}


@pytest.mark.parametrize("asked", ["latent2rgb", "none"])
async def test_previews_show_the_frame_if_the_prompt_asks_for_them(
    tmp_path: Path, asked: str
) -> None:
    """The agent passes them on to whoever watches; nobody pays for pictures that nobody sees."""
    async with renderer(tmp_path) as client:
        answer = await client.submit(graph(), extra_data={"preview_method": asked})
        frames: list[str | bytes] = []
        with anyio.fail_after(PATIENCE_S):
            while not closes(frames, answer["prompt_id"]):
                frames.append(await client.socket.recv())

    pictures = [f for f in frames if isinstance(f, bytes)]
    assert bool(pictures) == (asked != "none")
    for frame in pictures:
        assert frame[:8] == bytes([0, 0, 0, 1, 0, 0, 0, 1])
        assert frame[8:11] == b"\xff\xd8\xff"


def closes(frames: list[str | bytes], prompt_id: str) -> bool:
    """Say whether the last frame is the closing message."""
    if not frames or isinstance(frames[-1], bytes):
        return False
    data = json.loads(frames[-1])["data"]
    return data.get("prompt_id") == prompt_id and data.get("node", "") is None


@pytest.mark.parametrize("path", ["/upload/image", "/prompt"])
async def test_a_body_over_the_limit_is_refused_before_it_is_sent(
    tmp_path: Path, path: str
) -> None:
    """Transcript 12: the limit of 100 MiB is on the whole request, of any route."""
    async with renderer(tmp_path) as client:
        host, port = client.http.base_url.host, client.http.base_url.port
        assert port is not None
        async with await anyio.connect_tcp(host, port) as line:
            head = f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: 105906176\r\n"
            await line.send(f"{head}content-type: multipart/form-data; boundary=b\r\n\r\n".encode())
            with anyio.fail_after(PATIENCE_S):
                answer = await line.receive()
                while b"exceeded." not in answer:
                    answer += await line.receive()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Maximum request body size 104857600 exceeded." in answer


async def test_what_the_server_is_has_the_recorded_keys(tmp_path: Path) -> None:
    """Transcript 13: the agent reads memory and version here."""
    [event] = [
        e
        for e in recorded("13_other_endpoints").events
        if e.get("request", {}).get("path") == "/system_stats"
    ]
    async with renderer(tmp_path) as client:
        stats = (await client.http.get("/system_stats")).json()

    assert stats.keys() == event["body"].keys()
    assert stats["system"].keys() == event["body"]["system"].keys()
    assert [d.keys() for d in stats["devices"]] == [d.keys() for d in event["body"]["devices"]]
    assert str(tmp_path) not in json.dumps(stats)


async def test_no_error_tells_where_the_host_keeps_its_files(tmp_path: Path) -> None:
    """What a client is told may be shown to a user."""
    async with renderer(tmp_path) as client:
        (tmp_path / "input/bad.mp4").write_bytes(b"no video")
        prompt_id, messages = await client.run(graph(file="bad.mp4"))
        told = json.dumps([messages, await client.history(prompt_id), await client.job(prompt_id)])

    assert "execution_error" in told
    assert str(tmp_path) not in told
    assert str(Path(__file__).parents[3]) not in told
