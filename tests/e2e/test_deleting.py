"""A user's "delete my video", against the whole platform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.e2e.platform import Platform


def test_no_file_made_of_a_video_outlives_it(platform: Platform, short_clip: Path) -> None:
    """Refused while a job needs it; afterwards no clip, picture or render is left."""
    video_id = platform.upload(short_clip)
    job_id = platform.order(video_id, providers=["fx-warm-grade-v1"])
    waiting = platform.reach(job_id, "AWAITING_APPROVAL")
    names = [video_id, *(each["task_id"] for each in waiting["candidates"])]
    before = _made_of(platform, names)

    assert _delete(platform, video_id).json()["code"] == "JOB_RUNNING"
    assert _made_of(platform, names) == before
    platform.cli("cancel", job_id)
    platform.reach(job_id, "CANCELLED")
    gone = _delete(platform, video_id)

    assert any(path.name == "result.mp4" for path in before)
    assert len(before) > len(names), "the upload, its mezzanine, its pictures, a render"
    assert gone.status_code == httpx.codes.NO_CONTENT, gone.text
    assert _made_of(platform, names) == []


def _delete(platform: Platform, video_id: str) -> httpx.Response:
    with platform.http() as http:
        return http.delete(f"/v1/uploads/{video_id}")


def _made_of(platform: Platform, names: Sequence[str]) -> list[Path]:
    """Return every file of the home whose path names the video or a task."""
    return sorted(
        path
        for path in platform.home.rglob("*")
        if path.is_file() and any(name in str(path) for name in names)
    )
