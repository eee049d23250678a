"""Each switch for a fault, shown on a running server as a client meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest
import websockets

from actors.runtime.contract import SystemClock
from gpu_agent.renderer.app import App
from gpu_agent.renderer.behaviour import (
    ALWAYS,
    At,
    Behaviour,
    Limits,
    WrongAnswer,
    change,
    decoded,
    garbage,
    server_error,
    throttled,
)
from gpu_agent.renderer.engine import Engine
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.server import running_renderer
from tests.contract.renderer.support import CLIENT, connected, graph, renderer


def picture(side: int = 8, prefix: str = "p") -> dict[str, Any]:
    """Return the smallest graph that saves something."""
    empty = {"width": side, "height": side, "batch_size": 1, "color": 0}
    saved = {"images": ["1", 0], "filename_prefix": prefix}
    return {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "SaveImage", "inputs": saved},
    }


async def test_switches_are_set_over_http_while_the_server_runs(tmp_path: Path) -> None:
    """A test of the whole stack has no other way into the renderer's process."""
    async with renderer(tmp_path) as client:
        answer = await client.http.post("/effectmesh/switches", json={"burst_s": 0.25})
        wrong = await client.http.post("/effectmesh/switches", json={"burst": 1})
        now = (await client.http.get("/effectmesh/switches")).json()

    assert answer.status_code == 200
    assert wrong.status_code == 400
    assert now["burst_s"] == 0.25


def test_a_misspelt_switch_is_refused_and_changes_nothing() -> None:
    """A test with a switch that does not exist would pass for the wrong reason."""
    behaviour = Behaviour()
    with pytest.raises(msgspec.ValidationError):
        change(behaviour, {"empty_outputs": 1, "deaf": True})
    with pytest.raises(msgspec.ValidationError):
        decoded('{"kill_at": {"node": "SaveVideo"}}')

    assert behaviour == Behaviour()
    assert decoded("") == Behaviour()


async def test_a_throttling_server_says_when_to_come_back(tmp_path: Path) -> None:
    """The agent must wait as long as it is told, and the prompt was not taken."""
    behaviour = Behaviour(wrong_answers=(throttled(times=2, retry_after_s=7),))
    async with renderer(tmp_path, behaviour) as client:
        body = {"prompt": picture(), "client_id": CLIENT}
        answers = [await client.http.post("/prompt", json=body) for _ in range(3)]

    assert [a.status_code for a in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[2].json()["number"] == 0


async def test_a_wrong_answer_can_come_after_the_work_was_done(tmp_path: Path) -> None:
    """Sent again blindly, the prompt would run, and cost, twice."""
    prompt_id = "11111111-2222-4333-8444-555555555555"
    behaviour = Behaviour(wrong_answers=(server_error(done=True), garbage(path="/queue")))
    async with renderer(tmp_path, behaviour) as client:
        body = {"prompt": picture(), "client_id": CLIENT, "prompt_id": prompt_id}
        lost = await client.http.post("/api/prompt", json=body)
        queue = await client.http.get("/queue")
        await client.hear_until("executing", node=None, prompt_id=prompt_id)

    assert lost.status_code == 500
    assert lost.text.startswith("500 Internal Server Error\n\n")
    assert queue.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        queue.json()


async def test_a_wrong_answer_names_its_path_and_method(tmp_path: Path) -> None:
    """So that one request of a run can be singled out."""
    behaviour = Behaviour(
        wrong_answers=(WrongAnswer(path="/history", method="POST", status=503, times=ALWAYS),)
    )
    async with renderer(tmp_path, behaviour) as client:
        answers = [
            (await client.http.get("/history")).status_code,
            (await client.http.post("/history", json={})).status_code,
            (await client.http.post("/history", json={})).status_code,
        ]

    assert answers == [200, 503, 503]


async def test_history_can_be_late_by_time(tmp_path: Path) -> None:
    """The closing message came, so an agent must wait for the entry, not give the run up."""
    behaviour = Behaviour(late_history_s=3600)
    async with renderer(tmp_path, behaviour) as client:
        late, _ = await client.run(picture())
        missing = await client.history(late), await client.job(late)
        listed = (await client.http.get("/history")).json()
        behaviour.late_history_s = 0
        at_once, _ = await client.run(picture(prefix="q"))
        found = await client.history(at_once)

    assert missing == ({}, {"error": "Job not found"})
    assert listed == {}
    assert found["status"]["completed"]


async def test_messages_can_be_held_back_beyond_the_end_of_a_run(tmp_path: Path) -> None:
    """Their arrival then says nothing about the nodes, and polling is what finds the end."""
    behaviour = Behaviour()
    async with renderer(tmp_path, behaviour) as client:
        _, plain = await client.run(picture(8, "a"))
        behaviour.burst_s = 0.05
        _, burst = await client.run(picture(9, "b"))
        behaviour.burst_s = 3600
        answer = await client.submit(picture(10, "c"))
        await client.finish(answer["prompt_id"])
        # what was sent before the answer to a ping has arrived with it
        await (await client.socket.ping())
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await client.socket.recv()

    assert [m["type"] for m in burst] == [m["type"] for m in plain]


async def test_a_cut_line_has_no_goodbye_and_stays_down_for_as_long_as_asked(
    tmp_path: Path,
) -> None:
    """What a network that fails for half a minute looks like; the run goes on."""
    behaviour = Behaviour()
    async with renderer(tmp_path, behaviour) as client:
        behaviour.cut_sockets = True
        answer = await client.submit(picture())
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.hear()
        await client.finish(answer["prompt_id"])
        base = str(client.http.base_url).rstrip("/")
        with pytest.raises(websockets.InvalidStatus):
            async with connected(base, tmp_path):
                pass
        behaviour.cut_sockets = False
        async with connected(base, tmp_path) as again:
            _, messages = await again.run(picture(prefix="again"))

    assert closed.value.rcvd is None
    assert messages[-1]["data"]["node"] is None


@pytest.mark.parametrize("frame", [0, 2])
async def test_a_killed_server_is_gone_and_knows_nothing_when_it_comes_back(
    tmp_path: Path, frame: int
) -> None:
    """The one fault after which a host has to be asked again whether it knows the prompt."""
    behaviour = Behaviour(kill_at=At(class_type="ImageBlur", frame=frame))
    async with renderer(tmp_path, behaviour) as client:
        answer = await client.submit(graph())
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.hear_until("execution_success")
        with pytest.raises(httpx.TransportError):
            await client.http.get("/queue")
        base = str(client.http.base_url).rstrip("/")
        port = int(base.rpartition(":")[2])
        async with running_renderer(tmp_path, behaviour, port=port):
            job = await client.job(answer["prompt_id"])
            queue = (await client.http.get("/queue")).json()

    assert closed.value.rcvd is None
    assert job == {"error": "Job not found"}
    assert queue == {"queue_running": [], "queue_pending": []}


async def test_a_hung_node_does_not_hear_an_interrupt(tmp_path: Path) -> None:
    """The agent has to escalate: the host must be restarted, or left alone."""
    behaviour = Behaviour(hung_at=frozenset({"ImageBlur"}))
    async with renderer(tmp_path, behaviour) as client:
        answer = await client.submit(graph())
        await client.hear_until("executing", node="3")
        asked = await client.http.post(f"/api/jobs/{answer['prompt_id']}/cancel")
        other = await client.http.post("/interrupt")
        job = await client.job(answer["prompt_id"])

    assert asked.json() == {"cancelled": True}
    assert other.status_code == 200
    assert job["status"] == "in_progress"


async def test_a_slow_node_hears_an_interrupt(tmp_path: Path) -> None:
    """A node that takes long is no hang."""
    behaviour = Behaviour(slow_nodes={"ImageBlur": 3600.0})
    async with renderer(tmp_path, behaviour) as client:
        answer = await client.submit(graph())
        await client.hear_until("executing", node="3")
        await client.http.post("/interrupt")
        messages = await client.hear_until("executing", node=None, prompt_id=answer["prompt_id"])

    assert messages[0]["type"] == "execution_interrupted"


async def test_a_gpu_without_memory_is_told_in_torchs_words(tmp_path: Path) -> None:
    """The failure class is read from these words."""
    behaviour = Behaviour(out_of_memory={"EmptyImage": 1})
    async with renderer(tmp_path, behaviour) as client:
        _, messages = await client.run(picture())
        _, again = await client.run(picture())

    [error] = [m["data"] for m in messages if m["type"] == "execution_error"]
    assert error["exception_type"] == "torch.OutOfMemoryError"
    assert error["exception_message"].startswith("Allocation on device")
    assert "ran out of memory on your GPU" in error["exception_message"]
    assert "execution_success" in [m["type"] for m in again]


async def test_a_full_disk_fails_saving_and_uploading(tmp_path: Path) -> None:
    """Nothing of it may be taken for a result, and the next try works."""
    behaviour = Behaviour(disk_full_saves=1, disk_full_uploads=1)
    async with renderer(tmp_path, behaviour) as client:
        _, messages = await client.run(picture())
        form = {"image": ("a.mp4", b"bytes")}
        uploads = [await client.http.post("/upload/image", files=form) for _ in range(2)]
        _, again = await client.run(picture())

    [error] = [m["data"] for m in messages if m["type"] == "execution_error"]
    assert error["exception_type"] == "OSError"
    assert "No space left on device" in error["exception_message"]
    assert [u.status_code for u in uploads] == [500, 200]
    assert "execution_success" in [m["type"] for m in again]


async def test_saved_files_can_be_cut_short_or_emptied(tmp_path: Path) -> None:
    """The run says success, so only decoding the result finds it out."""
    behaviour = Behaviour(empty_outputs=1, truncated_outputs=1)
    async with renderer(tmp_path, behaviour) as client:
        for prefix in ("empty", "cut", "whole"):
            _, messages = await client.run(picture(64, prefix))
            assert "execution_success" in [m["type"] for m in messages]

    sizes = {p.name.partition("_")[0]: p.stat().st_size for p in (tmp_path / "output").iterdir()}
    assert sizes["empty"] == 0
    assert sizes["cut"] == sizes["whole"] // 2


async def test_a_run_can_name_the_files_of_another(tmp_path: Path) -> None:
    """With a prefix of its own for each attempt an agent sees that this file is not its own."""
    behaviour = Behaviour(foreign_outputs=1)
    async with renderer(tmp_path, behaviour) as client:
        outputs = []
        for prefix in ("first", "second", "third"):
            prompt_id, _ = await client.run(picture(prefix=prefix))
            entry = await client.history(prompt_id)
            outputs.append(entry["outputs"]["2"]["images"][0]["filename"])

    assert outputs == ["first_00001_.png", "first_00001_.png", "third_00001_.png"]


async def test_no_switch_can_be_set_unless_the_server_was_started_so(tmp_path: Path) -> None:
    """A host in service must not be broken by whoever reaches its port."""
    engine = Engine(
        folders=Folders(tmp_path), behaviour=Behaviour(), limits=Limits(), clock=SystemClock()
    )
    transport = httpx.ASGITransport(app=App(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        answer = await client.post("/effectmesh/switches", json={"deaf_socket": True})

    assert answer.status_code == 404
    assert not engine.behaviour.deaf_socket
