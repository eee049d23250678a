"""What hosts say, decoded: two versions, strange answers, no words of theirs let through."""

from __future__ import annotations

import json

import pytest

from gpu_agent import wire
from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.wire import Phase


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("cpu", "cpu", "cpu"),
        ("cuda:0 NVIDIA A10G : cudaMallocAsync", "cuda", "A10G"),
        ("cuda:0 Tesla T4 : native", "cuda", "T4"),
        ("cuda:0 NVIDIA H100 80GB HBM3 : cudaMallocAsync", "cuda", "H100"),
        ("cuda:0 NVIDIA A100-SXM4-40GB : native", "cuda", "A100"),
        ("mps", "mps", "mps"),
    ],
)
def test_a_device_is_named_as_rate_cards_name_it(name: str, kind: str, wanted: str) -> None:
    """The price of a second hangs on it."""
    assert wire.gpu_type({"devices": [{"name": name, "type": kind}]}) == wanted


def test_a_host_without_devices_is_a_cpu() -> None:
    """The embedded renderer may say nothing of devices."""
    assert wire.gpu_type({}) == "cpu"


def test_an_older_host_is_read_through_its_queue() -> None:
    """Before the end its history says nothing."""
    queue = json.dumps({"queue_running": [[0, "a", {}]], "queue_pending": [[1, "b", {}]]}).encode()

    assert wire.queue_state(queue, "a").phase is Phase.RUNNING
    assert wire.queue_state(queue, "b").phase is Phase.PENDING
    assert wire.queue_state(queue, "c").phase is Phase.UNKNOWN


def test_an_interrupted_run_is_told_from_a_failed_one_by_its_messages() -> None:
    """Its status says ``error`` either way."""
    status = {
        "status_str": "error",
        "completed": False,
        "messages": [
            ["execution_start", {"timestamp": 10}],
            ["execution_interrupted", {"timestamp": 30}],
        ],
    }
    entry = json.dumps({"p": {"prompt": [], "outputs": {}, "status": status}}).encode()
    state = wire.history_state(entry, "p")

    assert (state.phase, state.started_ms, state.ended_ms) == (Phase.INTERRUPTED, 10, 30)


def test_any_list_of_files_is_an_output() -> None:
    """A video stands under ``images``, a custom node puts it under ``gifs``."""
    body = {
        "status": "completed",
        "outputs": {
            "1": {"images": [{"filename": "a.mp4", "type": "output"}], "animated": [True]},
            "2": {"gifs": [{"filename": "b.mp4"}], "text": ["words"]},
        },
    }
    outputs = wire.job_state(json.dumps(body).encode()).outputs

    assert [file.filename for files in outputs.values() for file in files] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"status": 5}', b'{"outputs": {}}'])
def test_an_answer_nobody_can_read_is_the_hosts_error(body: bytes) -> None:
    """Something else may listen on that port."""
    with pytest.raises(RenderFailedError) as caught:
        wire.job_state(body)

    assert caught.value.code is Fault.HOST_ERROR


def test_a_long_refusal_is_cut() -> None:
    """All missing models of a graph are reported at once."""
    fault = {"type": "value_not_in_list", "extra_info": {"input_name": "ckpt_name"}}
    body = {"node_errors": {str(n): {"class_type": "Loader", "errors": [fault]} for n in range(9)}}
    _, told = wire.refusal(wire.accepted(json.dumps(body).encode()))

    assert told.count("Loader.ckpt_name: value_not_in_list") == wire.REASONS_SHOWN
    assert told.endswith("and 4 more")


@pytest.mark.parametrize("frame", ["", "[]", "5", '{"type": 5, "data": {}}', '{"type": "x"}'])
def test_a_frame_that_is_no_message_is_passed_over(frame: str) -> None:
    """The socket must outlive it."""
    assert wire.event(frame) is None


def test_names_from_the_host_are_cut_to_plain_words() -> None:
    """A custom node may name its class or its error as it likes, a path too."""
    error = wire.Exploded(node_type="/opt/x<b>", exception_type="mod./srv/e\nError")
    code, why = wire.failure(error)

    assert code is Fault.RENDER_ERROR
    assert why == "optxb failed with srveError"
