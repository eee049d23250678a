"""The shell of Content Analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from actors.content_analysis import core
from actors.content_analysis.ports import AnalysisCache, Analyzer, Captioner
from actors.runtime.contract import Clock, GiveUp, Said
from actors.runtime.follow import follow
from media.analysis import Sighting
from media.errors import InvalidUriError, MediaNotFoundError
from media.frames import UnreadableFootageError
from media.store import MediaStore
from schemas.asks import AnalysisForgotten, ForgetAnalysis
from schemas.events import AnalysisFailed, ContentAnalyzed, VideoIngested
from schemas.video import Analysis, AnalyzedContent, Video

ATTEMPTS: Final = 4
"""The first try and three more, as the specification asks. A file that is not readable now may be
when it is fetched again."""
ANALYSIS_FAILED: Final = "ANALYSIS_FAILED"
_HINT: Final = "upload the clip again, or another recording of it"


class ContentAnalysis:
    """Step 2: says what is in a clip.

    Hears:    VideoIngested
    Answers:  ForgetAnalysis
    Says:     ContentAnalyzed, or AnalysisFailed after its retries
    Owns:     ``content_analysis.analysis``: what was said about which bytes, by version
    Repeats:  harmless; the same clip gives the same answer under the same event_id
    """

    def __init__(
        self,
        *,
        store: MediaStore,
        analyzer: Analyzer,
        clock: Clock,
        cache: AnalysisCache | None = None,
        captioner: Captioner | None = None,
    ) -> None:
        self._store = store
        self._analyzer = analyzer
        self._clock = clock
        self._cache = cache
        self._captioner = captioner

    async def receive(self, heard: VideoIngested) -> Sequence[Said]:
        """Watch the clip and describe it."""
        video = heard.payload
        try:
            analysis = await self._analysis(video)
        except (UnreadableFootageError, MediaNotFoundError, InvalidUriError) as error:
            failed = core.failure(video, code=ANALYSIS_FAILED, reason=str(error), hint=_HINT)
            header = follow(heard, AnalysisFailed, at=self._clock.now())
            return [AnalysisFailed(**header, payload=failed)]
        content = AnalyzedContent(video_id=video.video_id, analysis=analysis, request=video.request)
        header = follow(heard, ContentAnalyzed, at=self._clock.now())
        return [ContentAnalyzed(**header, payload=content)]

    async def answer(self, question: Struct) -> AnalysisForgotten:
        """Forget what was said about some bytes.

        Raises:
            GiveUp: this is no question for this module.
        """
        if not isinstance(question, ForgetAnalysis):
            raise GiveUp(f"no answer to {type(question).__name__} is known here")
        if self._cache is not None:
            await self._cache.forget(question.tenant_id, question.content_hash)
        return AnalysisForgotten(content_hash=question.content_hash)

    async def _analysis(self, video: Video) -> Analysis:
        """Return what is remembered about these bytes, else watch and remember."""
        known = video.metadata.content_hash
        wanted = core.version(
            modelled=self._analyzer.modelled,
            described_by=self._captioner.name if self._captioner is not None else "",
        )
        if self._cache is not None and known:
            found = await self._cache.find(video.tenant_id, known, wanted)
            if found is not None:
                return found
        seen = await self._watch(video.normalized_uri)
        analysis = await self._described(seen)
        # a captioner that was silent may speak next time, and half a clip may be whole
        final = analysis.analyzer_version == wanted and seen.complete
        if self._cache is not None and known and final:
            await self._cache.keep(video.tenant_id, known, wanted, analysis)
        return analysis

    async def _described(self, seen: Sighting) -> Analysis:
        analysis = core.describe(seen)
        if self._captioner is None:
            return analysis
        said = await self._captioner.captions([shot.still for shot in seen.shots])
        return core.in_words(analysis, said, by=self._captioner.name)

    async def _watch(self, uri: str) -> Sighting:
        """Fetch and measure, again from the start when decoding fails."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._watch_once(uri)
            except UnreadableFootageError:
                continue
        return await self._watch_once(uri)

    async def _watch_once(self, uri: str) -> Sighting:
        async with self._store.as_file(uri) as clip:
            return await self._analyzer.watch(clip)
