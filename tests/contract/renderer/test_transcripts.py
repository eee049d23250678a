"""Every recorded exchange with real servers, played against the renderer.

The renderer is asked for the original's behaviour where its own is better. What of a recording is
not played, or not compared word for word, is named beside it with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from gpu_agent.renderer.behaviour import PretendedModel, original
from gpu_agent.renderer.server import running_renderer
from tests.contract.renderer.recording import Recording, is_from, is_tick, recorded
from tests.contract.renderer.replay import Heard, playing
from tests.contract.renderer.sameness import own_run, plain, printed, same_run, shape
from tests.contract.renderer.support import make_clip

CLIPS: Mapping[str, tuple[int, tuple[int, int], bool]] = {
    "carphone.mp4": (6, (176, 144), False),
    "bikes60.mp4": (6, (64, 48), False),
    "bbb360.mp4": (6, (64, 48), True),
    "clip.mp4": (6, (64, 48), False),
}
"""Name -> frames, size and sound of what stands for the recorder's clips."""


class Scenario(Struct, frozen=True):
    """How a recording is played."""

    name: str
    more: Mapping[str, Any] = field(default_factory=dict)
    """Switches besides the original's."""
    frames: int = 0
    """How long the clips have to be, where that is told."""
    skipped: Mapping[int, str] = field(default_factory=dict)
    """Step -> why it is not sent."""
    by_shape: Mapping[int, str] = field(default_factory=dict)
    """Step -> why only the keys of its answer are compared."""
    by_status: Mapping[int, str] = field(default_factory=dict)
    """Step -> why only the status of its answer is compared."""
    unordered: str = ""
    """Why the messages about the queue are compared apart from those about the run."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files that were there before, below the server's folders."""
    uploads: Mapping[int, bytes] = field(default_factory=dict)
    headers: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    deleted: Mapping[int, str] = field(default_factory=dict)
    """Note -> the file that the recorder deleted at this place."""
    held: Mapping[int, str] = field(default_factory=dict)
    """Step -> the class of node that worked then, where no message tells; empty is none."""
    quoted_until: int = 0
    forms: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """Upload -> fields of its form that the recorder left out."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Links that were there before, and where they lead."""
    ran_before: int = 0
    """How many prompts had run when the recording began."""
    clips: Mapping[str, str] = field(default_factory=dict)
    """Clips that were there before, by what they are a copy of."""
    changed: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Submission -> the graph that is sent in place of one with an unknown class."""
    unlike: Mapping[int, str] = field(default_factory=dict)
    """Message -> why it is not compared."""
    stuck: Mapping[int, str] = field(default_factory=dict)
    """Submission -> the class of node that waits for the interrupt which was sent at once."""


TIMING = "a submission is told in the middle of a run, whose speed differs"
"""Why two threads of messages on one socket are compared one by one."""

FOR_BROWSERS = "for the browser's interface, which there is not"
OF_THE_HOST = "shows the host's folders and logs, which is better not served"
_WITH_SAVE_IMAGE = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255},
    },
    "2": {
        "class_type": "SaveImage",
        "inputs": {"images": ["1", 0], "filename_prefix": "../../sec_escape/x"},
    },
}
SCENARIOS = (
    Scenario("01_success_run", headers={36: {"Range": "bytes=0-99"}}),
    Scenario(
        "02_cache",
        deleted={89: "output/cache/out_00003_.mp4"},
        by_shape={138: "a cached answer names the node it was first computed for"},
    ),
    Scenario("03_validation", files={"output/val/out_00007_.mp4": b""}),
    Scenario("04_runtime_error", uploads={2: b"\x93" * 999, 18: b"\0\0\0 ftypisom", 34: b""}),
    Scenario("05_interrupt", stuck={134: "ImageBlur"}),
    Scenario(
        "06_queue",
        unordered=TIMING,
        by_status={123: "the recorder kept the keys only"},
        files={f"output/q/o2.0{n}_00001_.mp4": b"" for n in range(6)},
    ),
    Scenario(
        "07_two_clients", frames=120, unordered=TIMING, held={11: "ImageBlur", 16: "ImageBlur"}
    ),
    Scenario("08_reconnect"),
    Scenario("09a_binary_legacy"),
    Scenario("09b_binary_with_metadata"),
    Scenario("09c_progress", frames=120),
    Scenario(
        "11_view",
        files={
            "output/view/sub/o_00002_.mp4": bytes(range(256)) * 2,
            "input/x.html": b"<script>alert(1)</script>",
            "elsewhere": b"vm\n",
        },
        links={"output/link.txt": "elsewhere"},
        skipped={
            **dict.fromkeys((27, 34, 35), FOR_BROWSERS),
            **dict.fromkeys((28, 29, 30, 36), OF_THE_HOST),
        },
        by_status={31: "cut by the recorder"},
    ),
    Scenario(
        "12_upload",
        quoted_until=21,
        uploads={
            **dict.fromkeys(range(32), b"these bytes"),
            **dict.fromkeys((2, 3, 6), b"other bytes"),
        },
        forms={29: {"subfolder": "jobs/j9", "type": "output", "overwrite": "true"}},
        by_status={12: "the recorder replaced the folder in one of two places"},
        skipped=dict.fromkeys((32, 33, 34), "large; see the test about the limit"),
    ),
    Scenario(
        "13_other_endpoints",
        ran_before=3,
        by_shape={6: "other prompts"},
        by_status={
            0: "another machine; see the test about its keys",
            1: "what else is installed",
            **dict.fromkeys((17, 18, 19), "cut by the recorder, and empty here"),
            27: "the text of a missing page",
        },
        skipped={
            29: "assets need a database",
            **dict.fromkeys((30, 31, 32), OF_THE_HOST),
        },
        headers={
            34: {"Origin": "http://elsewhere.example"},
            35: {"Sec-Fetch-Site": "cross-site"},
            36: {"Origin": "{base}"},
        },
    ),
    Scenario("14_recycled_names", deleted={21: "output/shared/out_00001_.mp4"}),
    Scenario(
        "16_missing_models", more={"models": {}}, files={"input/reference.png": b"not looked into"}
    ),
    Scenario(
        "17_svd_random_weights",
        more={"models": {"svd.safetensors": PretendedModel()}},
        by_status={54: "another machine"},
    ),
    Scenario(
        "19_security_probes",
        clips={"output/two/o_00001_.mp4": "carphone.mp4"},
        changed={27: _WITH_SAVE_IMAGE},
        unlike={37: "SaveImage says it in other words than the class that is not known here"},
        by_status={40: "as above"},
    ),
    # its client heard the end of a run only after it had sent step 79
    Scenario("21_older_version", more={"older": True}, unordered=TIMING, held={79: ""}),
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
async def test_a_recorded_exchange_repeats_itself(scenario: Scenario, tmp_path: Path) -> None:
    """What the agent was written against is what the demo, and every other test, runs against."""
    recording = recorded(scenario.name, scenario.held, scenario.quoted_until)
    heard = await played(scenario, recording, tmp_path)

    for index, (status, body, headers) in heard.answers.items():
        event = recording.events[index]
        assert status == event["status"], (index, body)
        compare_bodies(scenario, index, event, body, heard)
        if index not in scenario.by_status:
            compare_headers(event, headers)
    for conn, messages in heard.messages.items():
        expected = [e for e in recording.events if e["ev"].startswith("ws_recv")]
        wanted = same_run([e for e in expected if e["conn"] == conn], heard)
        said = own_run(messages)
        told = [e for e in recording.events if is_from(e, conn) and not is_tick(e)]
        for place, event in enumerate(told):
            if recording.events.index(event) in scenario.unlike:
                said[place] = wanted[place] = {}
        if conn in heard.nameless:
            assert said[0]["data"].pop("sid")
            assert wanted[0]["data"].pop("sid")
        for thread in threads(scenario):
            assert [m for m in said if thread(m)] == [m for m in wanted if thread(m)]


async def played(scenario: Scenario, recording: Recording, root: Path) -> Heard:
    """Play a recording from its begin to its end."""
    behaviour = original(first_number=recording.first_number(), **scenario.more)
    (root / "input").mkdir(parents=True)
    asked = json.dumps(recording.events)
    for name, (frames, size, sound) in CLIPS.items():
        if name in asked or name in scenario.clips.values():
            length = scenario.frames or frames
            make_clip(root / "input" / name, frames=length, size=size, sound=sound)
    for name, data in scenario.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for name, like in scenario.clips.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((root / "input" / like).read_bytes())
    for name, target in scenario.links.items():
        (root / name).symlink_to(root / target)

    def upload(index: int, name: str) -> bytes:
        if index in scenario.uploads:
            return scenario.uploads[index]
        return (root / "input" / name).read_bytes()

    async with (
        running_renderer(root, behaviour) as base,
        playing(
            recording, base=base, behaviour=behaviour, upload=upload, headers=scenario.headers
        ) as player,
    ):
        await player.prepare(scenario.ran_before)
        for index, event in enumerate(recording.events):
            if index in scenario.skipped:
                continue
            if index in scenario.changed:
                event["request"]["json"]["prompt"] = scenario.changed[index]
            if index in scenario.forms:
                event["request"]["multipart"] |= scenario.forms[index]
            if index in scenario.deleted:
                (root / scenario.deleted[index]).unlink()
            if index in scenario.stuck:
                behaviour.stuck_at = frozenset({scenario.stuck[index]})
            await player.step(index)
        return player.heard


def compare_bodies(
    scenario: Scenario, index: int, event: Mapping[str, Any], body: Any, heard: Heard
) -> None:
    """Hold an answer against the recorded one."""
    if index in scenario.by_status:
        return
    if event["status"] == 400 and event.get("body") == "":
        # the renderer says why
        return
    expected = event.get("body")
    if isinstance(expected, dict) and "_binary_bytes" in expected:
        assert body["_binary_bytes"] > 0
        return
    if event["request"]["method"] == "HEAD":
        assert body["_binary_bytes"] == 0
        return
    if isinstance(expected, str) and expected[:1] in ("{", "["):
        expected = json.loads(expected)
    if index in scenario.by_shape:
        assert shape(plain(body, Heard())) == shape(plain(expected, heard)), index
        return
    assert printed(plain(body, Heard())) == printed(plain(expected, heard)), index


def compare_headers(event: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Hold the headers of an answer against the recorded ones."""
    for name, value in event.get("headers", {}).items():
        if name in ("Content-Length", "Etag", "Last-Modified"):
            assert name in headers, name
        elif name == "Content-Range":
            assert headers[name].rpartition("/")[0] == value.rpartition("/")[0]
        else:
            assert headers.get(name) == value, name


def threads(scenario: Scenario) -> tuple[Callable[[Any], bool], ...]:
    """Return which messages are compared in their order among each other."""
    if not scenario.unordered:
        return (lambda _: True,)
    return (lambda m: m.get("type") == "status", lambda m: m.get("type") != "status")
