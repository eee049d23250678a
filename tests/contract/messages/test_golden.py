"""What was stored once is read for ever.

Streams keep messages for weeks and a deploy does not wait for them, so every class has a golden
file: old bytes that must go on decoding. ``golden/spec`` holds the specification's own examples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct

from schemas.asks import Question
from schemas.base import Command, Event
from schemas.commands import RunAttempt, Wake
from schemas.events import ContentAnalyzed, QualityEvaluated, TaskSucceeded, VideoIngested
from schemas.logs import LogRecord, Warn
from schemas.routing import ProviderRecommendation, ProviderRecord, RecommendationRequest
from schemas.tasks import ExecutionTask
from subjects.build import ADDRESSEE, ANSWERER, OWNER
from tests.contract.messages.examples import GOLDEN, SPEC, STORED, kinds

SPECIFIED: Mapping[str, type[Struct]] = {
    "VideoIngested": VideoIngested,
    "ContentAnalyzed": ContentAnalyzed,
    "RecommendationRequest": RecommendationRequest,
    "ProviderRecommendation": ProviderRecommendation,
    "ExecutionTask": ExecutionTask,
    "TaskSucceeded": TaskSucceeded,
    "QualityEvaluated": QualityEvaluated,
    "ProviderRecord": ProviderRecord,
}
LOG_ENTRY = SPEC / "LogEntry.json"
FREE = ({"a_key"}, {"state"})
"""Objects of the golden files that are maps or opaque: their keys are data."""
MINE: Mapping[str, type[Struct]] = {kind.__name__: kind for kind in (*kinds(), *STORED)}


@pytest.mark.parametrize("name", MINE)
def test_old_bytes_decode(name: str) -> None:
    """A worker that was deployed today hears what was said before."""
    old = (GOLDEN / f"{name}.json").read_bytes()

    decoded = msgspec.json.decode(old, type=MINE[name])

    again = msgspec.json.encode(decoded)
    assert _without(json.loads(old), json.loads(again)) == []
    assert json.loads(msgspec.json.encode(msgspec.json.decode(again, type=MINE[name]))) == (
        json.loads(again)
    )


@pytest.mark.parametrize("name", MINE)
def test_a_field_nobody_knows_yet_is_ignored(name: str) -> None:
    """While a deploy rolls, the old worker hears messages of the new one."""
    old = json.loads((GOLDEN / f"{name}.json").read_bytes())
    newer = _with_news(old)

    decoded = msgspec.json.decode(json.dumps(newer), type=MINE[name])

    assert newer != old
    assert json.loads(msgspec.json.encode(decoded)) == json.loads(
        msgspec.json.encode(msgspec.json.decode(json.dumps(old), type=MINE[name]))
    )


@pytest.mark.parametrize("name", SPECIFIED)
def test_the_specification_s_own_example_decodes(name: str) -> None:
    """An external consumer may rely on these names; what we add stands beside them."""
    example = (SPEC / f"{name}.json").read_bytes()

    decoded = msgspec.json.decode(example, type=SPECIFIED[name])

    assert _without(json.loads(example), json.loads(msgspec.json.encode(decoded))) == []


def test_the_specification_s_workflow_config_is_part_of_a_provider_record() -> None:
    """A provider is one record here; only ``adapter`` is spelled ``adapter_class``, as in its own
    record.
    """
    config = json.loads((SPEC / "WorkflowConfig.json").read_bytes())
    record = json.loads((SPEC / "ProviderRecord.json").read_bytes()) | config

    decoded = msgspec.json.decode(json.dumps(record), type=ProviderRecord)

    lost = _without(record, json.loads(msgspec.json.encode(decoded)))
    assert lost == ["$.adapter"]


def test_the_specification_s_log_entry_decodes() -> None:
    """It is told apart by its severity, and a warning without price and remedy is refused."""
    example = LOG_ENTRY.read_bytes()

    decoded = msgspec.json.decode(example, type=LogRecord)

    assert type(decoded) is Warn
    assert _without(json.loads(example), json.loads(msgspec.json.encode(decoded))) == []


@pytest.mark.parametrize("missing", ["economic_impact", "operator_action"])
def test_a_warning_without_price_or_remedy_does_not_decode(missing: str) -> None:
    """An operator is woken for something that costs money and can be acted on, or not at all."""
    entry = json.loads(LOG_ENTRY.read_bytes())
    del entry[missing]

    with pytest.raises(msgspec.ValidationError, match=missing):
        msgspec.json.decode(json.dumps(entry), type=LogRecord)


def test_every_class_has_a_golden_file() -> None:
    """A new message is not done before ``python -m tests.contract.messages.examples`` was run."""
    files = {path.stem for path in GOLDEN.glob("*.json")}

    assert files == set(MINE)


def test_every_fact_has_an_owner_and_every_command_an_addressee() -> None:
    """Without one it has no subject and cannot be said."""
    facts = {kind for kind in kinds() if issubclass(kind, Event)} - {Wake}
    commands = {kind for kind in kinds() if issubclass(kind, Command)} - {RunAttempt}

    assert facts == set(OWNER)
    assert commands == set(ADDRESSEE)


def test_every_question_has_an_answerer() -> None:
    """Without one it has no subject and cannot be asked."""
    assert set(get_args(Question)) == set(ANSWERER)


def test_a_message_says_what_it_is() -> None:
    """A union of messages is told apart by ``event_type`` alone, so no two may share one."""
    tags = [kind.__struct_config__.tag for kind in kinds()]

    assert tags == [kind.__name__ for kind in kinds()]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("name", sorted({kind.__name__ for kind in kinds()}))
def test_a_message_of_another_kind_is_refused(name: str) -> None:
    """A worker that is sent what it does not hear makes a dead letter of it."""
    other = next(kind for kind in kinds() if kind.__name__ != name)

    with pytest.raises(msgspec.ValidationError, match="event_type"):
        msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes(), type=other)


def _without(old: Any, new: Any, path: str = "$") -> list[str]:
    """Return where ``new`` lost or changed something that ``old`` says."""
    if isinstance(old, dict) and isinstance(new, dict):
        missing = [f"{path}.{key}" for key in old if key not in new]
        kept = ((key, value) for key, value in old.items() if key in new)
        return missing + [
            each for key, value in kept for each in _without(value, new[key], f"{path}.{key}")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [each for n, (a, b) in pairs for each in _without(a, b, f"{path}[{n}]")]
    return [] if old == new or _same_time(old, new) else [f"{path}: {old!r} became {new!r}"]


def _same_time(old: object, new: object) -> bool:
    """Tell whether these are two spellings of one moment: ``.123Z`` and ``.123000Z``."""
    try:
        return datetime.fromisoformat(str(old)) == datetime.fromisoformat(str(new))
    except ValueError:
        return False


def _with_news(value: Any) -> Any:
    """Return the same with a field nobody knows in every object; maps stay what they are."""
    if isinstance(value, list):
        return [_with_news(each) for each in value]
    if not isinstance(value, dict):
        return value
    newer = {key: _with_news(each) for key, each in value.items()}
    return newer if set(value) in FREE else newer | {"added_tomorrow": [1]}
