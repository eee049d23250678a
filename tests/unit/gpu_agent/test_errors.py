"""Every fault has a class, and no message leads to a file of some machine."""

from __future__ import annotations

import pytest

from economics.failures import CLASS_OF, RULES, Retry
from gpu_agent.errors import CLASSES, FINAL, Fault, RenderFailedError, without_places


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_has_a_class_with_a_rule(fault: Fault) -> None:
    """A fault without one would be retried and blamed by accident."""
    assert CLASSES[fault] in RULES


@pytest.mark.parametrize("fault", [each for each in Fault if each.value in CLASS_OF])
def test_the_agent_and_the_rules_agree_on_the_class(fault: Fault) -> None:
    """Reports of agents that do not say the class are classified by code."""
    assert CLASS_OF[fault.value] is CLASSES[fault]


@pytest.mark.parametrize("fault", sorted(FINAL))
def test_what_no_further_try_can_help_is_not_for_another_try(fault: Fault) -> None:
    """It would cost the same again."""
    assert not RenderFailedError(fault, "no").retriable


@pytest.mark.parametrize(
    "fault", [each for each in Fault if RULES[CLASSES[each]].retry is Retry.NEVER]
)
def test_a_class_that_is_never_tried_again_is_final(fault: Fault) -> None:
    """The agent and the rules would contradict each other."""
    assert fault in FINAL


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no file at /srv/comfy/input/a.mp4", "no file at …"),
        ("C:\\ComfyUI\\models\\x.ckpt is gone", "… is gone"),
        ("read '/etc/passwd' of us", "read '…' of us"),
        ("see https://host.internal:8188/view", "see https:…"),
        ("nothing to hide: 5 frames", "nothing to hide: 5 frames"),
    ],
)
def test_a_message_names_no_place(text: str, told: str) -> None:
    """Users read these messages."""
    assert without_places(text) == told
    assert RenderFailedError(Fault.HOST_ERROR, text).why == told
