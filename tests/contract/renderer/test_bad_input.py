"""Prompts that no honest client sends: each is refused in words, and nothing else happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.renderer.support import CLIENT, graph, renderer

LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("kind", "blur"),
    [
        ("invalid_input_type", {"sigma": "nan"}),
        ("invalid_input_type", {"sigma": "inf"}),
        ("invalid_input_type", {"sigma": "{{ 7 * 7 }}"}),
        ("invalid_input_type", {"sigma": LONG}),
        ("invalid_input_type", {"blur_radius": "1e308"}),
        ("invalid_input_type", {"blur_radius": None}),
        ("value_bigger_than_max", {"blur_radius": 2**63}),
        ("value_smaller_than_min", {"sigma": -1e308}),
        ("bad_linked_input", {"image": ["2"]}),
        ("exception_during_inner_validation", {"image": ["404", 0]}),
    ],
)
async def test_a_wrong_value_is_refused_by_its_recorded_type(
    tmp_path: Path, kind: str, blur: dict[str, Any]
) -> None:
    """A not-a-number passes every limit of a real server; here it does not."""
    async with renderer(tmp_path) as client:
        body = {"prompt": graph(**blur), "client_id": CLIENT}
        answer = await client.http.post("/prompt", json=body)
        queue = (await client.http.get("/queue")).json()

    types = [e["type"] for node in answer.json()["node_errors"].values() for e in node["errors"]]
    assert answer.status_code == 400
    assert kind in types
    assert queue == {"queue_running": [], "queue_pending": []}


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/passwd",
        "/etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "concat:clip.mp4|clip.mp4",
        "clip.mp4\0.png",
        "clip.mp4 [secret]",
        LONG,
    ],
)
async def test_a_loader_opens_nothing_but_files_of_the_server(tmp_path: Path, name: str) -> None:
    """FFmpeg would follow a URL, and the loader a path, if they were let through."""
    async with renderer(tmp_path) as client:
        body = {"prompt": graph(file=name), "client_id": CLIENT}
        answer = await client.http.post("/prompt", json=body)
        view = await client.http.get("/view", params={"filename": name[:1000], "type": "input"})

    [error] = answer.json()["node_errors"]["1"]["errors"]
    assert error["type"] == "custom_validation_failed"
    assert view.status_code in (400, 404)


async def test_odd_names_of_outputs_stay_in_the_output_folder(tmp_path: Path) -> None:
    """Unicode is a name like any other; what is too long for the disk fails the run, in words."""
    async with renderer(tmp_path) as client:
        kinds: list[Any] = []
        for prefix in ("jöbs/ünïcode/{{x}}", "%date%/o", f"jobs/{LONG}"):
            prompt_id, _ = await client.run(graph(prefix))
            job = await client.job(prompt_id)
            kinds.append((job["status"], job.get("execution_error", {}).get("exception_type")))
        written = [p for p in (tmp_path / "output").rglob("*") if p.is_file()]

    assert kinds == [("completed", None), ("completed", None), ("failed", "OSError")]
    assert {p.parent.relative_to(tmp_path / "output").as_posix() for p in written} == {
        "jöbs/ünïcode",
        "%date%",
    }


async def test_a_number_that_is_none_does_not_upset_the_queue(tmp_path: Path) -> None:
    """In a heap, nothing comes before or after a not-a-number."""
    async with renderer(tmp_path) as client:
        body = {"prompt": graph(), "client_id": CLIENT, "number": "nan"}
        answer = await client.http.post("/prompt", json=body)

    assert answer.status_code == 400
