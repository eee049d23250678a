"""Runs on a real server: stopping, order, cache, memory, and the switches for faults."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import av
import numpy as np
import pytest

from gpu_agent.renderer.behaviour import Behaviour, Limits
from tests.contract.renderer.support import (
    Client,
    connected,
    graph,
    kinds,
    make_clip,
    renderer,
)

STUCK = Behaviour(stuck_at=frozenset({"ImageBlur"}))


def found(root: Path, pattern: str) -> list[str]:
    """Return the files below a folder whose name matches."""
    return [path.name for path in root.rglob(pattern)]


async def start_stuck(client: Client) -> str:
    """Start a run that does not end by itself, and wait until it is at its blur."""
    answer = await client.submit(graph("stuck"))
    await client.hear_until("executing", node="3")
    return str(answer["prompt_id"])


async def test_an_interrupted_run_ends_as_cancelled(tmp_path: Path) -> None:
    """History calls it an error; only the jobs route tells cancelled from failed."""
    async with renderer(tmp_path, STUCK) as client:
        prompt_id = await start_stuck(client)
        await client.http.post("/interrupt", json={"prompt_id": prompt_id})
        messages = await client.hear_until("executing", node=None)
        past, job = await client.history(prompt_id), await client.job(prompt_id)

    [told] = [m["data"] for m in messages if m["type"] == "execution_interrupted"]
    assert told["node_id"] == "3"
    assert told["executed"] == ["1", "2"]
    assert past["status"]["status_str"] == "error"
    assert past["status"]["completed"] is False
    assert job["status"] == "cancelled"


async def test_interrupting_another_prompt_changes_nothing(tmp_path: Path) -> None:
    """A late cancel must not hit the next job."""
    async with renderer(tmp_path, STUCK) as client:
        prompt_id = await start_stuck(client)
        await client.http.post("/interrupt", json={"prompt_id": str(uuid.uuid4())})
        other = await client.http.post(f"/api/jobs/{uuid.uuid4()}/cancel")

        assert other.json() == {"cancelled": False}
        assert (await client.job(prompt_id))["status"] == "in_progress"


async def test_waiting_prompts_run_by_number(tmp_path: Path) -> None:
    """``front`` goes first, the latest of them first of all; deleted ones leave no trace."""
    async with renderer(tmp_path, STUCK) as client:
        first = await start_stuck(client)
        plain = await client.submit(graph("a"))
        gone = await client.submit(graph("b"))
        front = await client.submit(graph("c"), front=True)
        numbered = await client.submit(graph("d"), number=0.5)
        await client.http.post("/queue", json={"delete": [gone["prompt_id"], first]})
        pending = (await client.http.get("/queue")).json()["queue_pending"]
        order = []
        for _ in range(3):
            await client.http.post("/interrupt")
            message = (await client.hear_until("execution_start"))[-1]
            order.append(message["data"]["prompt_id"])
            await client.hear_until("executing", node="3")
        job = await client.http.get(f"/api/jobs/{gone['prompt_id']}")

    assert [plain["number"], front["number"], numbered["number"]] == [1, -3, 0.5]
    assert len(pending) == 3
    assert order == [front["prompt_id"], numbered["prompt_id"], plain["prompt_id"]]
    assert job.status_code == 404


async def test_a_server_with_a_run_under_way_stops_at_once(tmp_path: Path) -> None:
    """Leaving the block must not wait for a render; the test would hang here."""
    async with renderer(tmp_path, STUCK) as client:
        await start_stuck(client)


async def test_a_cached_answer_is_not_given_when_its_file_is_gone(tmp_path: Path) -> None:
    """The name of a deleted file would be a result that nobody can fetch."""
    async with renderer(tmp_path) as client:
        await client.run(graph())
        (tmp_path / "output/out_00001_.mp4").unlink()
        prompt_id, messages = await client.run(graph())
        past = await client.history(prompt_id)

    [cached] = [m["data"]["nodes"] for m in messages if m["type"] == "execution_cached"]
    assert cached == ["1", "2", "3", "4"]
    [file] = past["outputs"]["5"]["images"]
    assert (tmp_path / "output" / file["filename"]).is_file()


async def test_a_recycled_name_is_not_given_for_another_jobs_file(tmp_path: Path) -> None:
    """Else one tenant would be shown what another one made."""
    async with renderer(tmp_path) as client:
        await client.run(graph())
        (tmp_path / "output/out_00001_.mp4").unlink()
        await client.run(graph(blur_radius=5))
        prompt_id, _ = await client.run(graph())
        past = await client.history(prompt_id)

    assert past["outputs"]["5"]["images"][0]["filename"] == "out_00002_.mp4"


async def test_the_original_names_a_stale_file_where_asked(tmp_path: Path) -> None:
    """An agent has to survive servers that do."""
    async with renderer(tmp_path, Behaviour(stale_names=True)) as client:
        await client.run(graph())
        (tmp_path / "output/out_00001_.mp4").unlink()
        prompt_id, _ = await client.run(graph())
        answer = await client.http.get("/view?filename=out_00001_.mp4")

        assert (await client.history(prompt_id))["outputs"]["5"]["images"]
        assert answer.status_code == 404


async def test_a_cache_is_dropped_when_asked(tmp_path: Path) -> None:
    """An operator frees the memory of a host between jobs."""
    async with renderer(tmp_path) as client:
        await client.run(graph())
        await client.http.post("/free", json={"free_memory": True})
        _, messages = await client.run(graph())

    assert [m["data"]["nodes"] for m in messages if m["type"] == "execution_cached"] == [[]]


async def test_frames_beyond_the_memory_budget_are_refused_in_words(tmp_path: Path) -> None:
    """The process must not be killed for memory; the user must learn what to do."""
    limits = Limits(memory_bytes=40_000, cache_bytes=100_000)
    async with renderer(tmp_path, limits=limits) as client:
        make_clip(tmp_path / "input/big.mp4", frames=30, size=(160, 90))
        prompt_id, messages = await client.run(graph(file="big.mp4"))
        small, _ = await client.run(graph())
        job, after = await client.job(prompt_id), await client.job(small)

    [told] = [m["data"] for m in messages if m["type"] == "execution_error"]
    assert told["exception_message"].startswith("out of memory budget")
    assert told["node_type"] == "GetVideoComponents"
    assert job["status"] == "failed"
    assert after["status"] == "completed"


async def test_spent_images_do_not_reach_the_cache(tmp_path: Path) -> None:
    """With a cache too small for them, a repeated run must work anew and give the same bytes."""
    limits = Limits(cache_bytes=1000)
    async with renderer(tmp_path, limits=limits) as client:
        for prefix in ("a", "b"):
            await client.run(graph(prefix))

    first = (tmp_path / "output/a_00001_.mp4").read_bytes()
    assert first == (tmp_path / "output/b_00001_.mp4").read_bytes()


async def test_a_corrupt_video_fails_when_it_is_taken_apart(tmp_path: Path) -> None:
    """As recorded; and the server goes on."""
    async with renderer(tmp_path) as client:
        (tmp_path / "input/bad.mp4").write_bytes(b"no video at all" * 50)
        prompt_id, messages = await client.run(graph(file="bad.mp4"))
        past = await client.history(prompt_id)
        await client.run(graph())

    [told] = [m["data"] for m in messages if m["type"] == "execution_error"]
    assert told["node_type"] == "GetVideoComponents"
    assert told["exception_type"] == "av.error.InvalidDataError"
    assert told["exception_message"].endswith("\n")
    assert past["status"]["status_str"] == "error"
    assert kinds(messages)[-2:] == ["status", "executing"]


async def test_a_planned_failure_happens_as_often_as_planned(tmp_path: Path) -> None:
    """Retries are tested with it."""
    async with renderer(tmp_path, Behaviour(failures={"ImageBlur": 2})) as client:
        ends = [kinds((await client.run(graph(blur_radius=r)))[1])[-3] for r in (1, 2, 3)]

    assert ends == ["execution_error", "execution_error", "execution_success"]


async def test_late_history_is_empty_before_it_is_there(tmp_path: Path) -> None:
    """The terminal message comes before the entry is written; an agent has to ask again."""
    async with renderer(tmp_path, Behaviour(late_history_lookups=2)) as client:
        prompt_id, _ = await client.run(graph())

        assert await client.history(prompt_id) == {}
        assert await client.history(prompt_id) == {}
        assert (await client.history(prompt_id))["status"]["completed"]


@pytest.mark.parametrize("deaf", [False, True])
async def test_the_newer_socket_hears_on_unless_deaf(tmp_path: Path, *, deaf: bool) -> None:
    """A real server forgets the newer socket when the older one closes."""
    async with renderer(tmp_path, Behaviour(deaf_socket=deaf)) as client:
        base = str(client.http.base_url).rstrip("/")
        async with connected(base, tmp_path) as newer:
            await client.socket.close()
            # the closing handshake is over, so the server has dealt with the old socket
            prompt_id = (await newer.submit(graph()))["prompt_id"]
            if deaf:
                async with connected(base, tmp_path, "somebody-else") as other:
                    await other.finish(prompt_id)
                await newer.socket.send("{}")
                await newer.socket.close()
                assert [m async for m in newer.socket] == []
            else:
                await newer.hear_until("executing", node=None, prompt_id=prompt_id)


async def test_errors_can_be_pretended_on_an_accepted_prompt(tmp_path: Path) -> None:
    """200 with ``node_errors`` must be treated as a refusal by an agent."""
    async with renderer(tmp_path, Behaviour(node_errors_on_accept=True)) as client:
        answer = await client.submit(graph())

    assert answer["node_errors"]["5"]["class_type"] == "SaveVideo"


async def test_the_result_keeps_frames_rate_and_sound_and_hides_the_graph(tmp_path: Path) -> None:
    """A user's clip must come back whole; prompts must not leave in its metadata."""
    async with renderer(tmp_path) as client:
        make_clip(tmp_path / "input/tone.mp4", frames=10, sound=True)
        await client.run(graph(file="tone.mp4"))

    path = tmp_path / "output/out_00001_.mp4"
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.name, video.pix_fmt, float(video.average_rate or 0)) == (
            "h264",
            "yuv420p",
            25,
        )
        assert audio.name == "aac"
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]
    assert len(frames) == 10
    assert b"class_type" not in path.read_bytes()
    with av.open(str(tmp_path / "input/tone.mp4")) as container:
        source = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]
    assert all(np.abs(a - b).mean() < 40 for a, b in zip(frames, source, strict=True))


async def test_a_clip_that_nothing_changes_is_copied_stream_by_stream(tmp_path: Path) -> None:
    """Encoding again would cost time and quality."""
    remux = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "clip.mp4"}},
        "2": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["1", 0],
                "filename_prefix": "copy",
                "format": "auto",
                "format.codec": "auto",
            },
        },
    }
    async with renderer(tmp_path) as client:
        await client.run(remux)

    packets = []
    for path in (tmp_path / "input/clip.mp4", tmp_path / "output/copy_00001_.mp4"):
        with av.open(str(path)) as container:
            packets.append([bytes(p) for p in container.demux(video=0) if p.size])
    assert packets[0] == packets[1]


async def test_saving_outside_the_output_folder_fails(tmp_path: Path) -> None:
    """A prefix is the only path a graph can write to."""
    async with renderer(tmp_path) as client:
        for prefix in ("../escape", "/elsewhere/escape"):
            _, messages = await client.run(graph(prefix))
            [told] = [m["data"] for m in messages if m["type"] == "execution_error"]
            assert re.search("outside", told["exception_message"])

    assert found(tmp_path, "*escape*") == []


async def test_a_prompt_without_client_id_is_told_to_all_in_part(tmp_path: Path) -> None:
    """As recorded: progress for everybody, the rest for nobody."""
    async with renderer(tmp_path, Behaviour(silent_nodes=True)) as client:
        answer = await client.http.post("/prompt", json={"prompt": graph()})
        prompt_id = answer.json()["prompt_id"]
        await client.finish(prompt_id)
        await client.socket.close()
        kept = [m async for m in client.socket]

    assert kept
    assert not any('"execution_start"' in str(m) or '"executing"' in str(m) for m in kept)
    assert any('"progress_state"' in str(m) for m in kept)
