"""Content Analysis answers every clip, with an analysis or with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.content_analysis.actor import ATTEMPTS, ContentAnalysis
from actors.content_analysis.measuring import MeasuringAnalyzer
from actors.runtime.contract import FrozenClock
from media.analysis import Sighting
from media.frames import UnreadableFootageError
from media.local_store import LocalMediaStore
from schemas.events import AnalysisFailed, ContentAnalyzed
from tests.builders import effect_request, video_ingested
from tests.unit.content_analysis.test_core import sighting
from tests.unit.media_analysis.clips import pan, textured, write_clip

URI = video_ingested().payload.normalized_uri


class ScriptedAnalyzer:
    """Answers as told, one answer a call."""

    def __init__(self, *answers: Sighting | UnreadableFootageError) -> None:
        self._answers: Iterator[Sighting | UnreadableFootageError] = iter(answers)
        self.calls = 0

    async def watch(self, clip: Path) -> Sighting:
        """Give the next answer."""
        self.calls += 1
        answer = next(self._answers)
        if isinstance(answer, UnreadableFootageError):
            raise answer
        return answer


@pytest.fixture
async def store(tmp_path: Path) -> LocalMediaStore:
    """Return a store with one clip in it."""
    store = LocalMediaStore(root=tmp_path / "media")
    clip = write_clip(tmp_path / "a.mp4", pan(textured(1), count=20) + pan(textured(2), count=20))
    await store.put_file(URI, clip, content_type="video/mp4")
    return store


def actor(store: LocalMediaStore, analyzer: ScriptedAnalyzer | None = None) -> ContentAnalysis:
    """Return the actor with the real analyzer or a scripted one."""
    return ContentAnalysis(
        store=store, analyzer=analyzer or MeasuringAnalyzer(), clock=FrozenClock()
    )


async def test_a_stored_clip_is_described(store: LocalMediaStore) -> None:
    """From bytes in the store to scenes in the event, with the request passed on."""
    heard = video_ingested(request=effect_request("style_transfer", wish="like a dream"))

    [said] = await actor(store).receive(heard)

    assert isinstance(said, ContentAnalyzed)
    assert [scene.start_ms for scene in said.payload.analysis.scenes] == [0, 800]
    assert said.payload.request == heard.payload.request
    assert said.payload.video_id == heard.payload.video_id
    assert said.correlation_id == heard.correlation_id


async def test_a_retry_says_the_same(store: LocalMediaStore) -> None:
    """The stream can then drop the second answer as a duplicate."""
    [first] = await actor(store).receive(video_ingested())
    [again] = await actor(store).receive(video_ingested())

    assert first == again


async def test_a_failing_decoder_is_tried_three_more_times(store: LocalMediaStore) -> None:
    """A read that failed once may succeed when the file is fetched again."""
    failures = [UnreadableFootageError("torn")] * (ATTEMPTS - 1)
    analyzer = ScriptedAnalyzer(*failures, sighting())

    [said] = await actor(store, analyzer).receive(video_ingested())

    assert isinstance(said, ContentAnalyzed)
    assert analyzer.calls == 4


async def test_after_the_last_try_the_job_is_told(store: LocalMediaStore) -> None:
    """The user must hear why, and what to do."""
    analyzer = ScriptedAnalyzer(*[UnreadableFootageError("torn")] * 9)

    [said] = await actor(store, analyzer).receive(video_ingested())

    assert isinstance(said, AnalysisFailed)
    assert said.payload.code == "ANALYSIS_FAILED"
    assert said.payload.reason == "torn"
    assert said.payload.hint
    assert analyzer.calls == ATTEMPTS


async def test_a_missing_file_fails_at_once(tmp_path: Path) -> None:
    """Nobody will put it there later."""
    analyzer = ScriptedAnalyzer()

    [said] = await actor(LocalMediaStore(root=tmp_path), analyzer).receive(video_ingested())

    assert isinstance(said, AnalysisFailed)
    assert URI in said.payload.reason
    assert analyzer.calls == 0


async def test_bytes_that_are_no_video_fail(tmp_path: Path) -> None:
    """With the real decoder, end to end."""
    store = LocalMediaStore(root=tmp_path / "media")
    (tmp_path / "x").write_bytes(b"hello")
    await store.put_file(URI, tmp_path / "x", content_type="video/mp4")

    [said] = await actor(store).receive(video_ingested())

    assert isinstance(said, AnalysisFailed)
