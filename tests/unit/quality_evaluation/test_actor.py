"""Every finished task gets a score, or an honest unknown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from msgspec import structs

from actors.quality_evaluation.actor import QualityEvaluation
from actors.quality_evaluation.memory import MemoryScores
from actors.quality_evaluation.pixels import PixelJudge
from actors.quality_evaluation.ports import ScoreHistory
from actors.runtime.contract import FrozenClock
from media.local_store import LocalMediaStore
from media.quality import Verdict
from schemas.base import ProviderId
from schemas.events import QualityEvaluated, TaskSucceeded
from schemas.quality import Evaluation
from schemas.telemetry import QualityMeasured, TelemetryPacket
from tests.builders import task_succeeded
from tests.unit.media_analysis.clips import Frame, pan, textured, warm, write_clip
from tests.unit.quality_evaluation.histories import CHECKS

SOURCE = pan(textured(1), count=16)


class FixedLooks:
    """Every provider makes things warm."""

    def target_look(self, provider_id: ProviderId) -> Mapping[str, float]:
        """Return the warm look."""
        return {"warmth": 0.06, "contrast": 1.08}


class CountingJudge(PixelJudge):
    """The real judge, which counts how often it had to look."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def judge(
        self, *, source: Path, result: Path, effect_type: str, look: Mapping[str, float]
    ) -> Verdict:
        """Measure two local files."""
        self.calls += 1
        return await super().judge(source=source, result=result, effect_type=effect_type, look=look)


class Bench:
    """The actor, and a store to put results into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LocalMediaStore(root=folder / "media")
        self.judge = CountingJudge()
        self.actor = QualityEvaluation(
            store=self.store,
            judge=self.judge,
            looks=FixedLooks(),
            history=MemoryScores(),
            clock=FrozenClock(),
        )

    async def put(self, uri: str, content: list[Frame] | bytes) -> None:
        """Store frames as a clip, or bytes as they are."""
        file = self.folder / "upload.mp4"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            write_clip(file, content)
        await self.store.put_file(uri, file, content_type="video/mp4")

    async def finished(self, task_id: str, content: list[Frame] | bytes | None) -> TaskSucceeded:
        """Return the message of a task with this result."""
        message = task_succeeded(f"evt_{task_id}", task_id=task_id, total_candidates=3)
        await self.put(message.payload.input_video_uri, SOURCE)
        if content is not None:
            await self.put(message.payload.output_video_uri, content)
        return message

    async def score(self, task_id: str, content: list[Frame] | bytes | None) -> Evaluation:
        """Finish a task and return its evaluation."""
        [said, _] = await self.actor.receive(await self.finished(task_id, content))
        assert isinstance(said, QualityEvaluated)
        return said.payload


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an empty bench."""
    return Bench(tmp_path)


async def test_a_good_result_is_scored_and_measured(bench: Bench) -> None:
    """The event is for the saga, the sample for the economy; both say the same."""
    heard = await bench.finished("task_1", [warm(frame) for frame in SOURCE])

    said, packet = await bench.actor.receive(heard)

    assert isinstance(said, QualityEvaluated)
    assert isinstance(packet, TelemetryPacket)
    assert (said.task_id, said.correlation_id) == ("task_1", heard.correlation_id)
    assert said.payload.quality == "scored"
    assert said.payload.composite_score > 0.7
    assert said.payload.comparative_rank == 1
    assert said.payload.total_candidates == 3
    assert said.payload.evaluator_version
    [sample] = packet.samples
    assert isinstance(sample, QualityMeasured)
    assert sample.quality_vector == said.payload.quality_vector
    assert packet.module == "quality_evaluation"


async def test_the_better_result_ranks_first(bench: Bench) -> None:
    """Whatever order they come in."""
    unchanged = await bench.score("task_1", SOURCE)
    good = await bench.score("task_2", [warm(frame) for frame in SOURCE])
    frozen = await bench.score("task_3", [warm(SOURCE[0])] * len(SOURCE))

    assert good.comparative_rank == 1
    assert frozen.comparative_rank == 3
    assert good.composite_score > unchanged.composite_score > frozen.composite_score


async def test_a_repeated_message_says_the_same_without_looking_again(bench: Bench) -> None:
    """Also after a better result came in between: the rank is the one that was said."""
    heard = await bench.finished("task_1", SOURCE)
    first = await bench.actor.receive(heard)
    await bench.score("task_2", [warm(frame) for frame in SOURCE])

    again = await bench.actor.receive(heard)

    assert again == first
    assert bench.judge.calls == 2


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a video", id="text"),
        pytest.param(SOURCE[:1], id="one frame"),
        pytest.param(None, id="missing"),
    ],
)
async def test_what_cannot_be_measured_is_unknown(
    bench: Bench, result: list[Frame] | bytes | None
) -> None:
    """It stays usable, with confidence 0 and a reason, and never stops the job."""
    found = await bench.score("task_1", result)

    assert found.quality == "unknown"
    assert found.confidence == 0.0
    assert found.reason


async def test_unknown_ranks_below_every_scored_one(bench: Bench) -> None:
    """A frozen result was at least seen."""
    await bench.score("task_1", [warm(SOURCE[0])] * len(SOURCE))

    assert (await bench.score("task_2", b"junk")).comparative_rank == 2


async def test_a_task_without_an_input_address_is_unknown(bench: Bench) -> None:
    """The specification's own example has none."""
    heard = await bench.finished("task_1", SOURCE)
    bare = structs.replace(heard, payload=structs.replace(heard.payload, input_video_uri=""))

    [said, _] = await bench.actor.receive(bare)

    assert isinstance(said, QualityEvaluated)
    assert said.payload.quality == "unknown"


@pytest.mark.parametrize("check", CHECKS)
async def test_memory_keeps_the_contract(
    check: Callable[[ScoreHistory], Awaitable[None]],
) -> None:
    """The fake passes what Postgres must pass."""
    await check(MemoryScores())
