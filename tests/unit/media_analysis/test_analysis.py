"""What is said about a clip was measured in it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from media import analysis, scenes
from media.frames import UnreadableFootageError, load
from tests.unit.media_analysis.clips import (
    clipped,
    footage,
    pan,
    plain_frame,
    textured,
    write_clip,
)


def test_the_one_cut_of_real_footage_is_found(city_clip: Path) -> None:
    """Known truth: the clip has one cut, at frame 116."""
    seen = analysis.watch(city_clip)

    assert [shot.start_ms for shot in seen.shots] == [0, 4640]
    assert seen.duration_ms == 7600
    assert "color_grade_cool" in seen.effects
    assert not any(shot.face for shot in seen.shots)


def test_cuts_are_exact() -> None:
    """One frame early shows a flash of the wrong scene in every effect cut along it."""
    shots = [pan(textured(seed), count=20) for seed in (1, 2, 3)]

    assert scenes.cuts(footage([frame for shot in shots for frame in shot])) == (20, 40)


def test_a_flash_is_no_cut() -> None:
    """Light comes back; a new shot does not."""
    frames = pan(textured(1), count=40)
    frames[20] = clipped(frames[20].astype(float) + 140)

    seen = analysis.describe(footage(frames))

    assert len(seen.shots) == 1
    assert "flash" in seen.effects


def test_fast_motion_is_no_cut() -> None:
    """A whip pan changes every frame, none more than its neighbours."""
    assert scenes.cuts(footage(pan(textured(1), count=40, step=18))) == ()


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_scenes_cover_the_clip_without_gap_or_overlap(count: int) -> None:
    """Every millisecond belongs to exactly one scene."""
    frames = pan(textured(1), count=count) + pan(textured(2), count=count)

    seen = analysis.describe(footage(frames, fps=24))

    assert seen.shots[0].start_ms == 0
    assert seen.shots[-1].end_ms == seen.duration_ms
    assert all(one.end_ms == other.start_ms for one, other in pairwise(seen.shots))
    assert all(shot.start_ms < shot.end_ms for shot in seen.shots)


def test_times_come_from_timestamps() -> None:
    """With a variable rate the number of a frame says nothing about its time."""
    frames = pan(textured(1), count=20) + pan(textured(2), count=20)
    clip = footage(frames)
    slow_start = np.concatenate((np.arange(20) * 100.0, 2000 + np.arange(20) * 20.0))
    varied = type(clip)(
        **{name: getattr(clip, name) for name in clip.__slots__}
        | {"times_ms": slow_start, "duration_ms": 2400.0}
    )

    assert [shot.start_ms for shot in analysis.describe(varied).shots] == [0, 2000]


def test_speed_follows_the_camera() -> None:
    """Motion decides which effects are offered and how strongly."""
    still = analysis.describe(footage([textured(1)] * 20)).speed
    slow = analysis.describe(footage(pan(textured(1), count=20, step=0.5))).speed
    fast = analysis.describe(footage(pan(textured(1), count=20, step=4))).speed

    assert still < 0.002 < slow < fast


def test_colours_have_plain_names() -> None:
    """They are put into prompts."""
    frames = [plain_frame((200, 60, 20))] * 6
    split = [np.vstack((frame, plain_frame((20, 130, 240)))) for frame in frames]

    [shot] = analysis.describe(footage(split)).shots

    assert set(shot.colours) == {"blue", "orange"}


def test_bars_are_letterbox_and_a_dark_sky_is_not() -> None:
    """A bar is black in every frame, above and below."""
    boxed = [frame.copy() for frame in pan(textured(1), count=12)]
    skies = [frame.copy() for frame in boxed]
    for one, other in zip(boxed, skies, strict=True):
        one[:16] = one[-16:] = 0
        other[:16] = 0

    assert "letterbox" in analysis.describe(footage(boxed)).effects
    assert "letterbox" not in analysis.describe(footage(skies)).effects


def test_a_slow_rise_from_black_is_a_fade_in() -> None:
    """And is not mistaken for its reverse."""
    frames = pan(textured(1), count=40)
    faded = [clipped(frame * min(1.0, i / 20)) for i, frame in enumerate(frames)]

    assert "fade_in" in analysis.describe(footage(faded)).effects
    assert "fade_out" not in analysis.describe(footage(faded)).effects
    assert "fade_out" in analysis.describe(footage(faded[::-1])).effects


def test_grey_footage_is_monochrome() -> None:
    """And so has no colour grade."""
    grey = [
        cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        for frame in pan(textured(1), count=12)
    ]

    assert analysis.describe(footage(grey)).effects == ("monochrome",)


def test_a_cartoon_of_shapes_has_no_person() -> None:
    """Nothing is named that was not seen."""
    assert not analysis.describe(footage(pan(textured(9), count=12))).shots[0].face


def test_a_file_is_decoded_to_the_last_frame(tmp_path: Path) -> None:
    """The header's claims are not used."""
    clip = load(write_clip(tmp_path / "a.mp4", pan(textured(1), count=13), fps=10))

    assert len(clip) == 13
    assert clip.duration_ms == pytest.approx(1300)
    assert clip.small.shape[1:] == (91, 160, 3)


@pytest.mark.parametrize("content", [b"", b"not a video at all", b"\x00" * 4096])
def test_what_is_no_video_is_refused(content: bytes, tmp_path: Path) -> None:
    """With one error, whatever the decoder calls it."""
    file = tmp_path / "a.mp4"
    file.write_bytes(content)

    with pytest.raises(UnreadableFootageError):
        load(file)


def test_a_playlist_may_name_no_other_file(tmp_path: Path) -> None:
    """A result that points at another tenant's upload must not open it."""
    write_clip(tmp_path / "secret.mp4", pan(textured(1), count=5))
    playlist = tmp_path / "result.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n")

    with pytest.raises(UnreadableFootageError):
        load(playlist)


def test_half_a_file_is_measured_or_refused(tmp_path: Path) -> None:
    """Whichever it is, it is not a crash."""
    whole = write_clip(tmp_path / "a.mp4", pan(textured(1), count=25)).read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(UnreadableFootageError):
        load(tmp_path / "b.mp4")
