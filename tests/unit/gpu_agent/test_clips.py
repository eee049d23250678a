"""What a model demands of a clip is met from the clip, or the clip is refused."""

from __future__ import annotations

import pytest

from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.providers.clips import measured
from gpu_agent.providers.declarative import ClipInfo
from schemas.routing import ClipRule

WAN = ClipRule(frame_multiple=4, frame_remainder=1, max_frames=121, size_multiple=16)
LTX = ClipRule(frame_multiple=8, frame_remainder=1, max_frames=264, size_multiple=32)


def clip(*, frames: int = 83, width: int = 720, height: int = 404) -> ClipInfo:
    """Return a clip."""
    return ClipInfo(file="clip.mp4", width=width, height=height, frames=frames, fps=25.0)


@pytest.mark.parametrize(
    ("rule", "frames", "wanted"),
    [
        (WAN, 83, 81),
        (WAN, 81, 81),
        (WAN, 80, 77),
        (WAN, 121, 121),
        (WAN, 4, 1),
        (WAN, 1, 1),
        (LTX, 83, 81),
        (LTX, 80, 73),
        (LTX, 8, 1),
        (LTX, 9, 9),
        (ClipRule(), 83, 83),
        (ClipRule(frame_multiple=8), 83, 80),
        (ClipRule(frame_multiple=8), 5, 1),
    ],
)
def test_frames_go_down_to_what_a_model_counts_in(rule: ClipRule, frames: int, wanted: int) -> None:
    """Wan counts 4n + 1, LTX 8n + 1; a frame too many is one that the clip does not have."""
    assert measured(clip(frames=frames), rule)["input_frames"] == wanted


@pytest.mark.parametrize("rule", [WAN, LTX])
@pytest.mark.parametrize("frames", range(1, 60))
def test_every_length_fits_and_nothing_is_made_up(rule: ClipRule, frames: int) -> None:
    """Less than one step is lost."""
    found = measured(clip(frames=frames), rule)["input_frames"]

    assert isinstance(found, int)
    assert found % rule.frame_multiple == rule.frame_remainder
    assert 0 <= frames - found < rule.frame_multiple


def test_a_clip_that_is_too_long_is_refused() -> None:
    """Half an effect must not be sold as a whole one, and another try would not be shorter."""
    with pytest.raises(RenderFailedError, match="122 frames, this provider takes 121") as refused:
        measured(clip(frames=122), WAN)

    assert refused.value.code is Fault.INPUT_TOO_LARGE
    assert not refused.value.retriable


@pytest.mark.parametrize(
    ("rule", "size", "wanted"),
    [
        (ClipRule(), (1919, 1081), (1919, 1081)),
        (ClipRule(size_multiple=16), (720, 404), (720, 400)),
        (ClipRule(size_multiple=32), (720, 404), (704, 384)),
        (ClipRule(size_multiple=32), (20, 20), (32, 32)),
        (ClipRule(size_multiple=16, max_pixels=399_360), (1920, 1080), (832, 464)),
        (ClipRule(size_multiple=16, max_pixels=399_360), (1080, 1920), (464, 832)),
        (ClipRule(size_multiple=16, max_pixels=399_360), (640, 360), (640, 352)),
    ],
)
def test_sides_fit_a_models_grid_and_its_memory(
    rule: ClipRule, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    """The shape stays, whichever way round the clip is."""
    found = measured(clip(width=size[0], height=size[1]), rule)

    assert (found["input_width"], found["input_height"]) == wanted
