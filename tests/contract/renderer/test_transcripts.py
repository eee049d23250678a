"""The server against what real servers were recorded to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpu_agent.renderer.behaviour import Behaviour
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.validation import Refusal, validate
from tests.contract.renderer.support import (
    TRANSCRIPTS,
    Message,
    connected,
    graph,
    kinds,
    make_clip,
    renderer,
)


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the events of a transcript."""
    events: list[dict[str, Any]] = json.loads((TRANSCRIPTS / f"{name}.json").read_text())["events"]
    return events


def told(events: list[dict[str, Any]], path: str) -> Any:
    """Return the last body that a path was answered with."""
    bodies = [e["body"] for e in events if e.get("request", {}).get("path", "").startswith(path)]
    return bodies[-1]


def keys(message: Message) -> tuple[str, frozenset[str]]:
    """Return what a message is called and what it tells about."""
    return message["type"], frozenset(message["data"])


def shape(value: object) -> object:
    """Return the keys of some JSON, all the way down; lists of files keep one element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return None


def graphs() -> list[dict[str, Any]]:
    """Return the recorded prompts that were judged by their graph."""
    return [
        event
        for event in recorded("03_validation")
        if isinstance(event["request"].get("json"), dict)
        and isinstance(event["request"]["json"].get("prompt"), dict)
        and event["status"] != 500
        and "prompt_id must" not in json.dumps(event["body"])
    ]


async def test_a_run_says_what_a_real_server_said(tmp_path: Path) -> None:
    """An agent follows a run by these messages, in this order, with these keys."""
    events = recorded("01_success_run")
    posted = [e for e in events if e["ev"] == "http" and e["request"]["path"] == "/prompt"]
    prompt = posted[-1]["request"]["json"]["prompt"]
    start = events.index(posted[-1])
    expected = [e["msg"] for e in events[start:] if e["ev"] == "ws_recv"]
    (tmp_path / "input/jobs/j1").mkdir(parents=True)
    make_clip(tmp_path / "input/jobs/j1/bikes60.mp4")

    async with renderer(tmp_path, Behaviour(silent_nodes=True)) as client:
        prompt_id, messages = await client.run(prompt)
        past, job = await client.history(prompt_id), await client.job(prompt_id)

    assert [keys(m) for m in messages] == [keys(m) for m in expected]
    assert messages[-4]["type"] == "progress_state"
    executed = [m["data"]["output"] for m in messages if m["type"] == "executed"]
    assert executed == [m["data"]["output"] for m in expected if m["type"] == "executed"]
    [entry] = told(events, "/history/").values()
    assert shape(past) == shape(entry)
    assert shape(job) == shape(told(events, "/api/jobs/"))


async def test_progress_is_cumulative_and_comes_with_every_frame(tmp_path: Path) -> None:
    """A user watches a long effect; a real server would be silent until it is over."""
    async with renderer(tmp_path) as client:
        _, messages = await client.run(graph())

    ticks = [m["data"]["value"] for m in messages if m["type"] == "progress"]
    last = [m["data"]["nodes"] for m in messages if m["type"] == "progress_state"][-1]
    assert ticks == [1, 2, 3, 4, 5, 6] * 3
    assert set(last) == {"1", "2", "3", "4", "5"}
    assert {node["state"] for node in last.values()} == {"finished"}
    assert kinds(messages)[:4] == ["status", "status", "execution_start", "execution_cached"]


async def test_repeated_graphs_are_answered_from_the_cache_as_recorded(tmp_path: Path) -> None:
    """A cached answer costs nothing, so an agent must be able to see that it was one."""
    events = recorded("02_cache")
    posted = [e for e in events if e["ev"] == "http" and e["request"]["path"] == "/prompt"]
    (tmp_path / "input").mkdir()
    make_clip(tmp_path / "input/carphone.mp4")
    expected: list[list[Message]] = []
    for event in events:
        if event in posted:
            expected.append([])
        elif event["ev"] == "ws_recv" and expected:
            expected[-1].append(event["msg"])

    async with renderer(tmp_path, Behaviour(silent_nodes=True)) as client:
        runs = [await client.run(event["request"]["json"]["prompt"]) for event in posted]

    for (_, messages), recording in zip(runs, expected, strict=True):
        assert [keys(m) for m in messages] == [keys(m) for m in recording]
        cached = [
            [m["data"]["nodes"] for m in said if m["type"] == "execution_cached"]
            for said in (messages, recording)
        ]
        assert cached[0] == cached[1]


@pytest.mark.parametrize("event", graphs(), ids=lambda e: str(e["label"]))
def test_a_prompt_is_refused_as_recorded(event: Mapping[str, Any], tmp_path: Path) -> None:
    """The platform turns these types into messages for people."""
    folders = Folders(tmp_path)
    make_clip(tmp_path / "input" / "carphone.mp4", frames=1)
    make_clip(tmp_path / "input" / "bikes60.mp4", frames=1)
    body, answer = event["request"]["json"], event["body"]
    told, status = judged(body["prompt"], folders)

    assert status == event["status"]
    assert clean(told.get("error")) == clean(answer.get("error"))
    assert clean(told["node_errors"]) == clean(answer["node_errors"])


def judged(prompt: Mapping[str, Any], folders: Folders) -> tuple[dict[str, Any], int]:
    """Return what the graph would be answered with, and the status."""
    catalog = Catalog(folders)
    try:
        valid = validate(prompt, catalog, folders, limit_nodes=50, unchecked_combos=True)
    except Refusal as refusal:
        return {"error": refusal.error, "node_errors": refusal.node_errors}, 400
    return {"node_errors": valid.node_errors}, 200


def clean(value: Any) -> Any:
    """Leave out what names the other server's files, and tooltips."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items() if k not in ("traceback", "tooltip")}
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return value


async def test_a_socket_reopened_during_a_run_hears_where_it_stands(tmp_path: Path) -> None:
    """As recorded: ``status``, then ``executing`` with nothing but the node, then live messages."""
    stuck = Behaviour(stuck_at=frozenset({"ImageBlur"}))
    async with renderer(tmp_path, stuck) as client:
        answer = await client.submit(graph())
        await client.hear_until("executing", node="3")
        base = str(client.http.base_url).rstrip("/")
        async with connected(base, tmp_path) as again:
            first = await again.hear()
            await client.http.post("/interrupt")
            rest = await again.hear_until("executing", node=None, prompt_id=answer["prompt_id"])

    assert first["type"] == "executing"
    assert first["data"] == {"node": "3"}
    assert [m["type"] for m in rest] == ["execution_interrupted", "status", "executing"]
