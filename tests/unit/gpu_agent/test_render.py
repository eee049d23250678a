"""Every way a prompt can end, against a scripted host: one stable code each, and metered."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.render import Rendered, render
from gpu_agent.timing import Advance
from gpu_agent.wire import OutputFile
from tests.unit.gpu_agent.fake_host import (
    DONE,
    GRAPH,
    PENDING,
    QUICK,
    RUNNING,
    STOPPED,
    FakeHost,
    exploded,
    job,
    whole_run,
)

PROMPT = str(uuid.UUID(int=7))
REFUSED = {
    "error": {"type": "prompt_outputs_failed_validation", "message": "bad", "details": ""},
    "node_errors": {
        "3": {
            "class_type": "ImageBlur",
            "errors": [
                {
                    "type": "value_bigger_than_max",
                    "message": "Value 99 bigger than max of 31",
                    "details": "blur_radius at /home/comfy/x.py",
                    "extra_info": {"input_name": "blur_radius"},
                }
            ],
        }
    },
}


async def rendered(host: FakeHost, *, timeout_s: float = 30.0, stop: bool = False) -> Rendered:
    """Render the test's graph."""
    event = anyio.Event()
    if stop:
        event.set()
    return await render(
        host.client,
        GRAPH,
        prompt_id=PROMPT,
        timeout_s=timeout_s,
        stop=event,
        hear=lambda advance: None,
    )


async def failed(host: FakeHost, **how: Any) -> RenderFailedError:
    """Render the test's graph and return why it failed."""
    with pytest.raises(RenderFailedError) as caught:
        await rendered(host, **how)
    assert "/" not in caught.value.why
    return caught.value


async def test_a_finished_prompt_gives_its_files_and_what_it_used() -> None:
    """GPU seconds and the wait are the host's own times, not ours."""
    host = FakeHost(PENDING, RUNNING, DONE)
    result = await rendered(host)

    assert result.outputs["9"] == (OutputFile(filename="out_00001_.mp4", subfolder="jobs/x"),)
    assert result.gpu_seconds == 2.5
    assert result.queue_wait_ms == 40
    assert host.submitted[0]["prompt_id"] == PROMPT


async def test_a_host_without_the_jobs_routes_is_followed_through_its_history() -> None:
    """The version of October 2025 has no such routes."""
    host = FakeHost(DONE)
    host.has_jobs = False
    result = await rendered(host)

    assert (result.gpu_seconds, result.queue_wait_ms) == (2.5, 40)
    assert result.outputs["9"][0].filename == "out_00001_.mp4"


async def test_nodes_are_timed_and_cached_ones_are_marked() -> None:
    """The Economic Engine must not learn a price from a cached run."""
    host = FakeHost(RUNNING, RUNNING, DONE)
    host.frames = whole_run()
    heard: list[Advance] = []
    result = await render(
        host.client,
        GRAPH,
        prompt_id=PROMPT,
        timeout_s=30.0,
        stop=anyio.Event(),
        hear=heard.append,
    )

    assert [(node.class_type, node.cached) for node in result.nodes] == [
        ("ImageBlur", False),
        ("SaveVideo", False),
        ("LoadVideo", True),
    ]
    assert [advance.node_id for advance in heard] == ["3", "3", "9", "9"]
    assert heard[-1].percent == pytest.approx(2 / 3)


async def test_a_deaf_socket_costs_progress_but_not_the_result() -> None:
    """After a drop of the network a host forgets our socket, and says nothing of it."""
    host = FakeHost(RUNNING, DONE)
    host.deaf_sockets = 99

    assert (await rendered(host)).gpu_seconds == 2.5


async def test_a_deaf_socket_is_opened_anew() -> None:
    """A second connection with the same client id gets the stream back."""
    host = FakeHost(*[RUNNING] * 40, DONE, limits=replace(QUICK, deaf_s=0.0))
    host.deaf_sockets = 1
    host.frames = whole_run()
    result = await rendered(host)

    assert host.sockets > 1
    assert [node.class_type for node in result.nodes] == ["ImageBlur", "SaveVideo", "LoadVideo"]


async def test_a_refused_graph_names_inputs_and_kinds_but_no_paths() -> None:
    """The host's own words are for its operator."""
    host = FakeHost()
    host.submission = (400, REFUSED)
    error = await failed(host)

    assert error.code is Fault.GRAPH_REFUSED
    assert not error.retriable
    assert error.why == "the host refused the graph: ImageBlur.blur_radius: value_bigger_than_max"


async def test_a_graph_of_which_only_a_part_would_run_is_refused_and_taken_back() -> None:
    """The host answers 200 and silently drops the invalid branch."""
    host = FakeHost()
    host.node_errors = REFUSED["node_errors"]  # type: ignore[assignment]
    error = await failed(host)

    assert error.code is Fault.GRAPH_REFUSED
    assert host.cancelled == [PROMPT]


async def test_an_answer_that_is_not_json_is_the_hosts_error() -> None:
    """ComfyUI answers 500 in plain text."""
    host = FakeHost()
    host.submission = (500, "500 Internal Server Error\n\nServer got itself in trouble")
    error = await failed(host)

    assert error.code is Fault.HOST_ERROR
    assert error.retriable
    assert host.cancelled == [PROMPT]


async def test_a_host_nobody_answers_at_is_unreachable() -> None:
    """Another host may be there."""
    host = FakeHost()
    host.down = True
    error = await failed(host)

    assert error.code is Fault.HOST_UNREACHABLE
    assert error.retriable


@pytest.mark.parametrize(
    ("exception", "code"),
    [
        ("torch.OutOfMemoryError", Fault.OUT_OF_MEMORY),
        ("torch.cuda.OutOfMemoryError", Fault.OUT_OF_MEMORY),
        ("MemoryError", Fault.OUT_OF_MEMORY),
        ("av.error.InvalidDataError", Fault.RENDER_ERROR),
        ("", Fault.RENDER_ERROR),
    ],
)
async def test_an_exception_in_a_node_is_mapped_to_a_code(exception: str, code: Fault) -> None:
    """The message names the node and the kind of error; the text stays at the host."""
    error = await failed(FakeHost(RUNNING, exploded(exception)))

    assert error.code is code
    assert "ImageBlur" in error.why
    assert error.gpu_seconds == 2.5


async def test_a_prompt_the_host_forgot_is_lost() -> None:
    """A restarted host knows nothing; one empty answer is only a late history."""
    error = await failed(FakeHost(RUNNING, None))

    assert error.code is Fault.LOST
    assert error.retriable


async def test_one_empty_answer_is_no_loss() -> None:
    """History is written after the last message."""
    assert (await rendered(FakeHost(RUNNING, None, DONE))).gpu_seconds == 2.5


async def test_a_prompt_somebody_else_stopped_is_lost_not_cancelled() -> None:
    """The job still wants its result."""
    assert (await failed(FakeHost(RUNNING, STOPPED))).code is Fault.LOST


async def test_a_render_that_takes_too_long_is_stopped() -> None:
    """The host would go on for ever otherwise."""
    host = FakeHost(RUNNING)
    error = await failed(host, timeout_s=0.0)

    assert error.code is Fault.TIMED_OUT
    assert host.cancelled == [PROMPT]


async def test_a_cancelled_job_stops_the_prompt_and_meters_it() -> None:
    """The seconds until it stopped were used."""
    host = FakeHost(STOPPED)
    error = await failed(host, stop=True)

    assert error.code is Fault.CANCELLED
    assert not error.retriable
    assert error.gpu_seconds == 2.5
    assert host.cancelled == [PROMPT]


async def test_a_cancelled_job_stays_cancelled_when_its_prompt_finished() -> None:
    """Nothing stops a host that is saving the file."""
    assert (await failed(FakeHost(DONE), stop=True)).code is Fault.CANCELLED


async def test_a_prompt_that_is_there_already_is_followed_not_rendered_again() -> None:
    """The agent that submitted it was killed; its attempt came to us."""
    host = FakeHost(RUNNING)
    host.before = DONE
    result = await rendered(host)

    assert host.submitted == []
    assert result.gpu_seconds == 2.5


async def test_the_end_of_an_earlier_run_is_not_taken_for_ours() -> None:
    """A reused id keeps its old history entry until the new one is written."""
    host = FakeHost(DONE)
    host.before = STOPPED
    await rendered(host)

    assert host.requests.index("POST /history") < host.requests.index("POST /prompt")


async def test_an_agent_that_is_stopped_tells_the_host() -> None:
    """Else the host renders for nobody while the attempt is redelivered."""
    host = FakeHost(RUNNING)
    async with anyio.create_task_group() as group:
        group.start_soon(rendered, host)
        await host.on_submit.wait()
        group.cancel_scope.cancel()

    assert host.cancelled == [PROMPT]


async def test_an_upload_is_known_by_the_name_the_host_gave_it() -> None:
    """It keeps both files when two uploads have one name."""
    host = FakeHost()
    name = await host.client.upload(Path(__file__), name="a.mp4", subfolder="jobs")

    assert name == "jobs/a (1).mp4"


async def test_a_clip_above_the_hosts_limit_is_not_sent() -> None:
    """It would be refused after a hundred megabytes."""
    host = FakeHost(limits=replace(QUICK, upload_bytes=10))
    with pytest.raises(RenderFailedError) as caught:
        await host.client.upload(Path(__file__), name="a.mp4", subfolder="jobs")

    assert caught.value.code is Fault.INPUT_TOO_LARGE
    assert host.requests == []


async def test_a_download_has_a_bound(tmp_path: Path) -> None:
    """A host that sends without end must not fill the disk."""
    host = FakeHost(limits=replace(QUICK, download_bytes=10))
    host.video = b"x" * 11
    with pytest.raises(RenderFailedError) as caught:
        await host.client.download(OutputFile(filename="a.mp4"), to=tmp_path / "a")

    assert caught.value.code is Fault.BROKEN_OUTPUT


async def test_an_output_that_is_gone_is_no_output(tmp_path: Path) -> None:
    """A cached SaveVideo names a file that was deleted."""
    host = FakeHost()
    host.view_status = 404
    with pytest.raises(RenderFailedError) as caught:
        await host.client.download(OutputFile(filename="a.mp4"), to=tmp_path / "a")

    assert caught.value.code is Fault.NO_OUTPUT


async def test_an_answer_without_end_is_cut() -> None:
    """Nothing a host says is read into memory without a bound."""
    host = FakeHost(limits=replace(QUICK, answer_bytes=10))
    with pytest.raises(RenderFailedError) as caught:
        await host.client.system_stats()

    assert caught.value.code is Fault.HOST_ERROR


async def test_a_strange_status_is_not_an_end() -> None:
    """A later version may add one."""
    assert (await rendered(FakeHost(job("paused"), DONE))).gpu_seconds == 2.5
