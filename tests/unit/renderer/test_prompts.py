"""The queue and the history."""

from __future__ import annotations

from gpu_agent.renderer.execution import Outcome
from gpu_agent.renderer.prompts import Past, Prompt, Prompts


def prompt(number: float, prompt_id: str = "p") -> Prompt:
    """Return a prompt that would do nothing."""
    return Prompt(number, prompt_id, {}, {}, {"create_time": 1}, ())


def outcome(*, succeeded: bool = True, last: str = "execution_success") -> Outcome:
    """Return how a run ended."""
    messages: list[tuple[str, dict[str, object]]] = [
        ("execution_start", {"timestamp": 1}),
        (last, {"timestamp": 2}),
    ]
    return Outcome(outputs={}, meta={}, messages=messages, succeeded=succeeded)


def test_prompts_come_by_number_then_by_arrival() -> None:
    """Equal numbers must not be compared by their graphs, which have no order."""
    prompts = Prompts(limit_history=5, now_ms=lambda: 0)
    for number, name in ((1, "a"), (0.5, "b"), (1, "c"), (-3, "d")):
        prompts.put(prompt(number, name))

    assert [prompts.take().prompt_id for _ in range(4)] == ["d", "b", "a", "c"]


def test_a_later_prompt_for_the_front_goes_before_an_earlier_one() -> None:
    """The counter goes on, the sign turns."""
    prompts = Prompts(limit_history=5, now_ms=lambda: 0)
    prompts.next_number(front=False)

    assert [prompts.next_number(front=True), prompts.next_number(front=True)] == [-1, -2]


def test_history_forgets_the_oldest() -> None:
    """Each entry holds a whole graph, so there is a bound."""
    prompts = Prompts(limit_history=2, now_ms=lambda: 0)
    for name in ("a", "b", "c"):
        prompts.finish(Past(prompt(1, name), outcome()))

    assert list(prompts.history) == ["b", "c"]


def test_an_id_that_ran_before_is_overwritten() -> None:
    """There is no idempotency: the agent has to look before it submits."""
    prompts = Prompts(limit_history=2, now_ms=lambda: 0)
    prompts.finish(Past(prompt(1, "a"), outcome(succeeded=False, last="execution_error")))
    prompts.finish(Past(prompt(2, "a"), outcome()))

    job = prompts.job("a")
    assert job is not None
    assert (job["status"], job["priority"]) == ("completed", 2)


def test_deleting_what_does_not_wait_changes_nothing() -> None:
    """The answer decides whether everybody is told a new queue length."""
    prompts = Prompts(limit_history=2, now_ms=lambda: 0)
    prompts.put(prompt(1, "a"))

    assert not prompts.delete(["b"])
    assert prompts.delete(["a"])
    assert not prompts.delete()
