"""Writing in the picture: rendered on real frames and found, and not found where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from effectmesh.clips import find_clip
from media.text import has_text, text_rows, text_share
from tests.unit.media_analysis.clips import Frame, plain_frame, read_frames, textured

SIZE = (720, 405)
WORDS = ("How to cook pasta", "WATCH THIS NOW", "day one in Berlin")


@pytest.fixture(scope="module")
def footage() -> list[Frame]:
    """Return frames of three clips that show no writing."""
    return [
        frame
        for name, first in (("cityCC0.mpg", 10), ("cityCC0.mpg", 130), ("bigbuckbunny.mp4", 20))
        for frame in read_frames(find_clip(name), size=SIZE, first=first, count=30)[::10]
    ]


def captioned(frame: Frame, words: str, share: float, *, boxed: bool = False) -> Frame:
    """Return a frame with a caption near its lower edge, its height a share of the frame's."""
    shown = frame.copy()
    height = share * frame.shape[0]
    scale, thick = height / 22.0, max(1, round(height / 9))
    font = cv2.FONT_HERSHEY_DUPLEX
    (width, _), _ = cv2.getTextSize(words, font, scale, thick)
    at = ((frame.shape[1] - width) // 2, round(frame.shape[0] * 0.9))
    if boxed:
        corner = (at[0] - 12, round(at[1] - 1.5 * height))
        other = (at[0] + width + 12, round(at[1] + 0.7 * height))
        cv2.rectangle(shown, corner, other, (20, 20, 20), -1)
    else:
        cv2.putText(shown, words, at, font, scale, (0, 0, 0), thick * 3, cv2.LINE_AA)
    cv2.putText(shown, words, at, font, scale, (255, 255, 255), thick, cv2.LINE_AA)
    return shown


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("share", [0.04, 0.06, 0.08])
def test_captions_of_several_sizes_are_found(
    footage: list[Frame], share: float, *, boxed: bool
) -> None:
    """Nine in ten of them; a caption over a busy picture may be lost, to the viewer too."""
    found = [
        has_text([captioned(frame, WORDS[at % 3], share, boxed=boxed)])
        for at, frame in enumerate(footage)
    ]

    assert np.mean(found) >= 0.85


def test_frames_without_writing_have_none(footage: list[Frame]) -> None:
    """Lit windows and blades of grass stand in rows too."""
    assert [at for at, frame in enumerate(footage) if has_text([frame])] == []


def test_the_rows_are_where_the_words_are(footage: list[Frame]) -> None:
    """Who wants to keep clear of a caption has to know its place."""
    rows = text_rows(captioned(footage[0], WORDS[0], 0.07, boxed=True))

    assert rows
    for left, top, width, height in rows:
        assert left >= 0
        assert left + width <= SIZE[0]
        assert top + height / 2 > SIZE[1] * 0.75


def test_larger_writing_covers_more(footage: list[Frame]) -> None:
    """The share is what an effect would spoil."""
    small, large = (
        text_share([captioned(footage[0], WORDS[1], share, boxed=True)]) for share in (0.05, 0.09)
    )

    assert 0 < small < large < 0.5


def test_writing_in_few_of_the_frames_is_chance(footage: list[Frame]) -> None:
    """A row that comes and goes is no caption of this scene."""
    with_words = [captioned(frame, WORDS[1], 0.08, boxed=True) for frame in footage[:5]]

    assert has_text([*with_words[:3], *footage[3:5]])
    assert not has_text([with_words[0], *footage[1:5]])


@pytest.mark.parametrize("frame", [plain_frame((9, 9, 9)), textured(2), textured(3)[..., 0]])
def test_no_writing_in_pictures_of_nothing(frame: Frame) -> None:
    """Colour or luma, both are looked at."""
    assert text_rows(frame) == []
    assert text_share([]) == 0.0


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (4000, 3)])
def test_any_size_is_looked_at(size: tuple[int, int]) -> None:
    """Odd sizes come in; none may stop the analysis."""
    assert text_share([textured(1, size=size)]) == 0.0
