"""Submissions that do not go well: put off, failed, heard twice, answered with nonsense."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.render import Rendered, render
from tests.unit.gpu_agent.fake_host import (
    DONE,
    GRAPH,
    QUICK,
    RUNNING,
    FakeHost,
    exploded,
    whole_run,
)
from tests.unit.gpu_agent.test_render import PROMPT, failed, rendered

SERVER_ERROR = (500, "500 Internal Server Error\n\nServer got itself in trouble")


async def test_a_host_that_asks_for_patience_gets_it() -> None:
    """429 with Retry-After is no failure."""
    host = FakeHost(DONE)
    host.submissions = [(429, "429: Too Many Requests"), (200, None)]
    host.retry_after = {"Retry-After": "0"}

    assert (await rendered(host)).gpu_seconds == 2.5
    assert len(host.submitted) == 2


async def test_a_host_that_never_has_time_is_throttled() -> None:
    """The tries are bounded; another host may have time."""
    host = FakeHost(DONE)
    host.submission = (429, "429: Too Many Requests")
    host.retry_after = {"Retry-After": "0"}
    error = await failed(host)

    assert (error.code, error.retriable) == (Fault.THROTTLED, True)
    assert len(host.submitted) == QUICK.tries


async def test_a_host_that_asks_for_too_much_patience_is_not_waited_for() -> None:
    """The slot is worth more elsewhere; the report says so at once."""
    host = FakeHost(DONE)
    host.submission = (429, "429: Too Many Requests")
    host.retry_after = {"Retry-After": "3600"}
    error = await failed(host)

    assert (error.code, error.retry_after_s) == (Fault.THROTTLED, 3600.0)
    assert len(host.submitted) == 1


@pytest.mark.parametrize("told", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "nan", "1e9", "²"])
async def test_a_wish_that_cannot_be_read_is_no_wish(told: str) -> None:
    """The usual pauses do."""
    host = FakeHost(DONE)
    host.submissions = [(429, ""), (200, None)]
    host.retry_after = {"Retry-After": told.encode("ascii", "replace").decode()}

    assert (await rendered(host)).gpu_seconds == 2.5


async def test_a_submission_that_failed_is_made_again() -> None:
    """Some faults of a host pass."""
    host = FakeHost(DONE)
    host.submissions = [SERVER_ERROR, (200, None)]

    assert (await rendered(host)).gpu_seconds == 2.5
    assert len(host.submitted) == 2


async def test_a_submission_that_was_heard_all_the_same_is_not_made_twice() -> None:
    """There is no idempotency: a second one would be rendered, and paid for, again."""
    host = FakeHost(RUNNING, DONE)
    host.submissions = [SERVER_ERROR]
    host.hears_what_it_refuses = True
    result = await rendered(host)

    assert len(host.submitted) == 1
    assert not result.adopted


async def test_a_graph_that_was_refused_is_not_sent_again() -> None:
    """It would be refused again."""
    host = FakeHost()
    host.submission = (400, {"error": {"type": "prompt_no_outputs"}, "node_errors": {}})
    error = await failed(host)

    assert error.code is Fault.GRAPH_REFUSED
    assert len(host.submitted) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"type": "missing_node_type", "message": "x"}, "node_errors": {}},
        {
            "error": {
                "type": "invalid_prompt",
                "message": "Cannot execute because node Foo does not exist.",
            },
            "node_errors": {},
        },
        {
            "error": {"type": "prompt_outputs_failed_validation"},
            "node_errors": {
                "10": {
                    "class_type": "UNETLoader",
                    "errors": [
                        {
                            "type": "value_not_in_list",
                            "extra_info": {
                                "input_name": "unet_name",
                                "received_value": "wan.safetensors",
                            },
                        }
                    ],
                }
            },
        },
    ],
    ids=["class", "class, as 0.3.64 says it", "model"],
)
async def test_what_a_host_lacks_is_the_hosts_fault_not_the_graphs(
    answer: dict[str, object],
) -> None:
    """Another host may have it."""
    host = FakeHost()
    host.submission = (400, answer)
    error = await failed(host)

    assert (error.code, error.retriable) == (Fault.MISSING_MODEL, True)


async def test_a_clip_that_the_host_has_lost_is_no_fault_of_the_graph() -> None:
    """Somebody cleared its input folder; the next attempt brings the clip again."""
    fault = {"type": "custom_validation_failed", "extra_info": {"input_name": "file"}}
    node = {"class_type": "LoadVideo", "errors": [fault]}
    host = FakeHost()
    host.submission = (400, {"error": {"type": "x"}, "node_errors": {"1": node}})
    error = await failed(host)

    assert (error.code, error.retriable) == (Fault.HOST_ERROR, True)


async def test_a_wrong_choice_that_is_no_file_is_the_graphs_fault() -> None:
    """No host will ever offer it."""
    fault = {
        "type": "value_not_in_list",
        "extra_info": {"input_name": "sampler_name", "received_value": "magic"},
    }
    node = {"class_type": "KSampler", "errors": [fault]}
    host = FakeHost()
    host.submission = (400, {"error": {"type": "x"}, "node_errors": {"1": node}})

    assert (await failed(host)).code is Fault.GRAPH_REFUSED


async def test_a_run_that_was_there_already_is_adopted() -> None:
    """Its seconds are paid for once."""
    host = FakeHost(RUNNING)
    host.before = DONE

    assert (await rendered(host)).adopted


async def test_a_prompt_that_does_not_stop_is_pressed_harder_and_its_host_is_stuck() -> None:
    """Cancel, then interrupt, then free; after that only its operator can help."""
    host = FakeHost(RUNNING)
    error = await failed(host, stop=True)

    pressed = [each for each in host.requests if each.startswith("POST") and "prompt" not in each]
    assert pressed == [f"POST /api/jobs/{PROMPT}/cancel", "POST /interrupt", "POST /free"]
    assert (error.code, error.stuck) == (Fault.CANCELLED, True)


async def test_a_prompt_that_stops_at_last_leaves_its_host_well() -> None:
    """Stopping is cooperative and may take a moment."""
    stopped = FakeHost(RUNNING, RUNNING, DONE)
    error = await failed(stopped, stop=True)

    assert not error.stuck


async def test_a_run_that_came_from_the_cache_is_marked() -> None:
    """Nothing is to be learnt from it."""
    host = FakeHost(RUNNING, DONE)
    host.frames = [
        (kind, {**data, "nodes": ["1", "3"]} if kind == "execution_cached" else data)
        for kind, data in whole_run()
    ]

    assert (await rendered(host)).cached
    host = FakeHost(RUNNING, DONE)
    host.frames = whole_run()
    assert not (await rendered(host)).cached


async def test_pictures_of_what_is_being_made_are_passed_on() -> None:
    """Both ways in which a host sends them, and nothing that is none."""
    jpeg = b"\xff\xd8\xff" + b"x" * 20
    told = b'{"node_id":"3"}'
    frames = [
        (1).to_bytes(4, "big") + (1).to_bytes(4, "big") + jpeg,
        (4).to_bytes(4, "big") + len(told).to_bytes(4, "big") + told + jpeg,
        (1).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"\x89PNG",
        (3).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"3 text",
        (4).to_bytes(4, "big") + (1 << 31).to_bytes(4, "big") + jpeg,
        b"",
    ]
    host = FakeHost(RUNNING, RUNNING, DONE)
    host.pictures = frames
    seen: list[bytes] = []
    result = await render(
        host.client,
        GRAPH,
        prompt_id=PROMPT,
        timeout_s=30.0,
        stop=anyio.Event(),
        hear=lambda advance: None,
        show=seen.append,
    )

    assert isinstance(result, Rendered)
    assert seen == [jpeg, jpeg]


async def test_a_full_disk_of_the_host_is_named() -> None:
    """Its operator has to clear up; the graph is not to blame."""
    text = "[Errno 28] No space left on device: '/home/comfy/output/a.mp4'"
    error = await failed(FakeHost(RUNNING, exploded("OSError", text)))

    assert error.code is Fault.HOST_DISK_FULL
    assert "comfy" not in error.why


async def test_other_requests_are_made_again_too() -> None:
    """Uploads and questions may be repeated without harm."""
    host = FakeHost(limits=replace(QUICK, tries=2))
    host.upload_status = 500
    with pytest.raises(RenderFailedError) as caught:
        await host.client.upload(Path(__file__), name="a", subfolder="jobs")

    assert caught.value.code is Fault.HOST_ERROR
    assert host.requests == ["POST /upload/image"] * 2
