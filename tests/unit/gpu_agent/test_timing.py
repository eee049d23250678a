"""Node times from the arrival of messages that come late and in bursts."""

from __future__ import annotations

from gpu_agent.timing import Track

CLASSES = {"1": "LoadVideo", "3": "ImageBlur", "9": "SaveVideo"}


def track(*messages: tuple[float, str, dict[str, object]]) -> Track:
    """Return what a run's messages, each with its arrival in seconds, add up to."""
    made = Track(prompt_id="p", classes=CLASSES)
    for at, kind, data in messages:
        made.update(kind, data, at)
    return made


def spans(made: Track, occupied_ms: int | None = None, now: float = 9.0) -> dict[str, int]:
    """Return milliseconds by node."""
    return {node.node_id: node.ms for node in made.timings(occupied_ms=occupied_ms, now=now)}


def test_a_node_lasts_until_the_next_one_starts() -> None:
    """The host gives no times of its own."""
    made = track(
        (1.0, "executing", {"node": "1"}),
        (1.5, "executing", {"node": "3"}),
        (3.5, "executing", {"node": "9"}),
        (4.0, "execution_success", {}),
    )

    assert spans(made) == {"1": 500, "3": 2000, "9": 500}


def test_the_last_node_ends_when_it_is_finished() -> None:
    """After it the host may clean up for a second."""
    made = track(
        (1.0, "executing", {"node": "9"}),
        (2.0, "progress_state", {"nodes": {"9": {"state": "finished"}}}),
        (5.0, "execution_success", {}),
    )

    assert spans(made) == {"9": 1000}


def test_the_sum_is_never_more_than_the_host_was_occupied() -> None:
    """Else a late burst would look like a slow node."""
    made = track(
        (1.0, "executing", {"node": "1"}),
        (2.0, "executing", {"node": "3"}),
        (5.0, "execution_success", {}),
    )

    assert spans(made, occupied_ms=2000) == {"1": 500, "3": 1500}


def test_the_replayed_message_after_a_reconnect_does_not_start_a_node_again() -> None:
    """It says only which node runs, without the prompt's id."""
    made = track(
        (1.0, "executing", {"node": "3", "prompt_id": "p"}),
        (2.0, "executing", {"node": "3"}),
        (3.0, "execution_success", {"prompt_id": "p"}),
    )

    assert spans(made) == {"3": 2000}


def test_another_prompts_messages_are_not_ours() -> None:
    """A prompt without a client id is told to everybody."""
    made = track((1.0, "executing", {"node": "3", "prompt_id": "q"}))

    assert spans(made) == {}


def test_the_closing_message_is_the_end_whatever_came_before() -> None:
    """It follows every outcome."""
    assert track((1.0, "executing", {"node": None})).over


def test_strange_messages_are_passed_over() -> None:
    """A later version may say more."""
    made = track(
        (1.0, "execution_cached", {"nodes": None}),
        (1.0, "progress_state", {"nodes": []}),
        (1.0, "progress_state", {"nodes": {"3": 5}}),
        (1.0, "progress_state", {"nodes": {"3": {"state": "running", "value": 1, "max": 0}}}),
        (1.0, "assets", {"a": 1}),
    )

    assert spans(made) == {}
