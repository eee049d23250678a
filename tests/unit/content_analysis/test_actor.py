"""Content Analysis answers every clip, with an analysis or with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from msgspec import structs

from actors.content_analysis import core
from actors.content_analysis.actor import ATTEMPTS, ContentAnalysis
from actors.content_analysis.measuring import MeasuringAnalyzer
from actors.content_analysis.memory import MemoryAnalyses
from actors.content_analysis.ports import Analyzer
from actors.runtime.contract import FrozenClock, GiveUp
from media.analysis import Sighting
from media.frames import UnreadableFootageError
from media.local_store import LocalMediaStore
from schemas.asks import AnalysisForgotten, FindEffect, ForgetAnalysis
from schemas.base import TenantId
from schemas.events import AnalysisFailed, ContentAnalyzed, VideoIngested
from tests.builders import effect_request, video_ingested
from tests.unit.content_analysis.test_core import sighting
from tests.unit.media_analysis.clips import pan, textured, write_clip

URI = video_ingested().payload.normalized_uri


class ScriptedAnalyzer:
    """Answers as told, one answer a call."""

    def __init__(self, *answers: Sighting | UnreadableFootageError) -> None:
        self._answers: Iterator[Sighting | UnreadableFootageError] = iter(answers)
        self.calls = 0
        self.modelled = False

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


class ScriptedCaptioner:
    """Says the same words of every picture."""

    name = "chat:test"

    def __init__(self, words: str) -> None:
        self.words = words
        self.shown: list[bytes] = []

    async def captions(self, stills: Sequence[bytes]) -> Sequence[str]:
        """Say them."""
        self.shown += stills
        return [self.words] * len(stills)


def actor(
    store: LocalMediaStore,
    analyzer: Analyzer | None = None,
    *,
    cache: MemoryAnalyses | None = None,
    captioner: ScriptedCaptioner | None = None,
) -> ContentAnalysis:
    """Return the actor with the real analyzer or a scripted one."""
    return ContentAnalysis(
        store=store,
        analyzer=analyzer or MeasuringAnalyzer(),
        clock=FrozenClock(),
        cache=cache,
        captioner=captioner,
    )


async def test_bytes_that_were_deleted_are_forgotten_and_watched_anew(
    store: LocalMediaStore,
) -> None:
    """What a tenant's clip shows does not outlive it; another tenant's memory is not touched."""
    cache, analyzer = MemoryAnalyses(), ScriptedAnalyzer(sighting(), sighting())
    module = actor(store, analyzer, cache=cache)
    heard = hashed()
    content_hash = heard.payload.metadata.content_hash
    await module.receive(heard)

    await module.answer(ForgetAnalysis(tenant_id=TenantId("tnt_2"), content_hash=content_hash))
    await module.receive(heard)
    assert analyzer.calls == 1

    question = ForgetAnalysis(tenant_id=heard.payload.tenant_id, content_hash=content_hash)
    assert await module.answer(question) == AnalysisForgotten(content_hash=content_hash)
    await module.receive(heard)
    assert analyzer.calls == 2


async def test_another_modules_question_is_not_answered(store: LocalMediaStore) -> None:
    """It has come to the wrong place."""
    with pytest.raises(GiveUp, match="FindEffect"):
        await actor(store).answer(FindEffect(effect_id="fx_1"))


def hashed(content_hash: str = "ab" * 32) -> VideoIngested:
    """Return an upload whose bytes are known."""
    heard = video_ingested()
    metadata = structs.replace(heard.payload.metadata, content_hash=content_hash)
    return structs.replace(heard, payload=structs.replace(heard.payload, metadata=metadata))


async def test_known_bytes_are_not_watched_again(store: LocalMediaStore) -> None:
    """The second job on one clip costs nothing and hears the same."""
    cache, analyzer = MemoryAnalyses(), ScriptedAnalyzer(sighting())

    [first] = await actor(store, analyzer, cache=cache).receive(hashed())
    [again] = await actor(store, analyzer, cache=cache).receive(hashed())

    assert first == again
    assert analyzer.calls == 1


async def test_another_analyzer_watches_again(
    store: LocalMediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed version, or a model where there was none, is another answer."""
    cache, analyzer = MemoryAnalyses(), ScriptedAnalyzer(*[sighting()] * 3)
    await actor(store, analyzer, cache=cache).receive(hashed())

    monkeypatch.setattr(core, "ANALYZER_VERSION", "measured-next")
    await actor(store, analyzer, cache=cache).receive(hashed())
    analyzer.modelled = True
    await actor(store, analyzer, cache=cache).receive(hashed())

    assert analyzer.calls == 3


async def test_bytes_without_a_hash_are_never_remembered(store: LocalMediaStore) -> None:
    """Or every such clip would be the same one."""
    cache, analyzer = MemoryAnalyses(), ScriptedAnalyzer(sighting(), sighting(speed=0.3))

    [first] = await actor(store, analyzer, cache=cache).receive(video_ingested())
    [other] = await actor(store, analyzer, cache=cache).receive(video_ingested())

    assert first != other


async def test_half_a_clip_is_not_remembered(store: LocalMediaStore) -> None:
    """The other half may be there next time."""
    torn = replace(sighting(), complete=False)
    cache, analyzer = MemoryAnalyses(), ScriptedAnalyzer(torn, sighting())

    await actor(store, analyzer, cache=cache).receive(hashed())
    await actor(store, analyzer, cache=cache).receive(hashed())

    assert analyzer.calls == 2


async def test_a_captioner_describes_and_is_named(store: LocalMediaStore) -> None:
    """With real pictures of the clip's own scenes."""
    captioner = ScriptedCaptioner("a  quiet\nroom")

    [said] = await actor(store, captioner=captioner).receive(video_ingested())

    assert isinstance(said, ContentAnalyzed)
    assert {scene.description for scene in said.payload.analysis.scenes} == {"a quiet room"}
    assert said.payload.analysis.described_by == "chat:test"
    assert len(captioner.shown) == 2
    assert all(still.startswith(b"\xff\xd8") for still in captioner.shown)


async def test_a_silent_captioner_leaves_our_words_and_is_asked_again(
    store: LocalMediaStore,
) -> None:
    """Its outage must not be remembered as its answer."""
    cache, silent = MemoryAnalyses(), ScriptedCaptioner("")
    analyzer = ScriptedAnalyzer(sighting(), sighting())

    [said] = await actor(store, analyzer, cache=cache, captioner=silent).receive(hashed())
    await actor(store, analyzer, cache=cache, captioner=silent).receive(hashed())

    assert isinstance(said, ContentAnalyzed)
    assert said.payload.analysis.scenes[0].description.startswith("evenly lit")
    assert said.payload.analysis.described_by == ""
    assert analyzer.calls == 2


async def test_the_loop_stays_free_while_a_clip_is_watched(store: LocalMediaStore) -> None:
    """Heartbeats and other messages must not wait for pixels."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.lowlevel.checkpoint()
            ticks += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await actor(store).receive(video_ingested())
        group.cancel_scope.cancel()

    assert ticks > 100


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
