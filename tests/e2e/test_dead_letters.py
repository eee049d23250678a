"""Dead letters as an operator meets them: seen, understood, replayed or dropped, up or stopped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from msgspec import structs

from actors.runtime.answering import DeadLetter
from actors.runtime.bus import connected
from actors.runtime.follow import begin
from actors.runtime.wire import encode, outgoing
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import JobId, Message, Module, TenantId, UserId
from schemas.commands import DecideApproval, DecisionOrder
from subjects import build
from subjects.topology import EVT
from tests.builders import video_ingested
from tests.e2e.platform import Platform, wait_for


def _say(nats_url: str, *messages: tuple[str, Message | DeadLetter]) -> None:
    """Publish bodies on subjects, whatever they are."""

    async def publish() -> None:
        async with connected(nats_url, name="test") as bus:
            for subject, message in messages:
                await bus.publish(subject, encode(message), {})

    anyio.run(publish)


def _decision(job_id: str) -> DecideApproval:
    header = begin(job_id=JobId(job_id), tenant_id=TenantId("tnt_demo"), at=datetime.now(UTC))
    order = DecisionOrder(decided_by=UserId("usr_admin"), approve=True)
    return DecideApproval(**header, payload=order)


def _letters_about(platform: Platform, job_id: str) -> Sequence[dict[str, Any]] | None:
    found = platform.data("dlq", "list", "--module", "approval")
    return [each for each in found if each["job"] == job_id] or None


def test_a_message_that_came_too_early_is_replayed_when_it_is_time(
    platform: Platform, short_clip: Path
) -> None:
    """An approval before there is anything to approve is a dead letter; replayed, it counts."""
    job_id = platform.order(platform.upload(short_clip), providers=["fx-warm-grade-v1"])
    early = _decision(job_id)
    _say(platform.running()["nats_url"], (build.command(early), early))
    [letter] = wait_for(lambda: _letters_about(platform, job_id), what="the dead letter")
    shown = platform.cli("dlq", "show", str(letter["sequence"]))
    platform.reach(job_id, "AWAITING_APPROVAL")

    said = platform.cli("dlq", "replay", str(letter["sequence"]))
    done = platform.reach(job_id, "COMPLETE")
    again = platform.data("dlq", "replay", str(letter["sequence"]))

    assert (letter["reason"], letter["kind"]) == ("gave_up", "DecideApproval")
    assert f"{job_id} never asked for an approval" in shown
    assert f"effectmesh dlq replay {letter['sequence']}" in shown
    assert early.event_id in shown
    assert "now CMD" in said
    assert again == {"done": [], "gone": [letter["sequence"]], "failed": []}
    assert done["charged_microtokens"] > 0
    assert platform.events(job_id).count("AdminApproved") == 1
    assert _letters_about(platform, job_id) is None


def test_another_tenant_s_message_is_seen_and_dropped(platform: Platform) -> None:
    """Its body claims a tenant that its subject does not name: somebody tries to get around."""
    strange = structs.replace(_decision("job_strange"), tenant_id=TenantId("tnt_other"))
    subject = build.command(_decision("job_strange"))
    _say(platform.running()["nats_url"], (subject, strange))
    [letter] = wait_for(lambda: _letters_about(platform, "job_strange"), what="the dead letter")
    number = str(letter["sequence"])

    unasked = platform.cli("dlq", "drop", number, status=2)
    dropped = platform.data("dlq", "drop", number, "--yes")
    missing = platform.cli("dlq", "show", number, status=1)

    assert letter["reason"] == "misaddressed"
    assert "names the tenant 'tnt_demo', its body 'tnt_other'" in letter["error"]
    assert "fix: give --yes" in unasked
    assert dropped == {"done": [letter["sequence"]], "gone": [], "failed": []}
    assert f"there is no dead letter {number}" in missing
    assert "fix:" in missing


def test_mistakes_are_explained(platform: Platform) -> None:
    """One sentence and a remedy."""
    nothing = platform.cli("dlq", "replay", status=2)
    both = platform.cli("dlq", "replay", "1", "--all", status=2)
    unknown = platform.cli("dlq", "list", "--module", "galery", status=2)
    never = platform.cli("dlq", "replay", "99999", status=1)

    assert "fix:" in nothing
    assert "fix:" in both
    assert "gallery" in unknown
    assert "there is no dead letter 99999" in never
    assert "Traceback" not in nothing + both + unknown + never


def test_a_stopped_stack_s_letters_can_be_replayed(home: Path) -> None:
    """After a crash the letters are read first, and the stack is started when they are mended."""
    stopped = Platform(home=home, settings={})
    server = EmbeddedNats(home=home, sync_always=False)
    fact = video_ingested()
    letters = [_letter(fact, 1), structs.replace(_letter(fact, 2), cut=True), _letter(fact, 3)]
    stopped.cli("topology", "apply")
    url = server.start()
    _say(url, *((build.dead_letter(Module.CONTENT_ANALYSIS), each) for each in letters))
    server.stop()

    listed = stopped.cli("dlq", "list")
    said = stopped.cli("dlq", "replay", "--all", "--module", "content_analysis", "-y", status=1)
    left = stopped.data("dlq", "list")
    url = server.start()
    stored = anyio.run(_count, url, EVT)
    server.stop()

    assert "VideoIngested" in listed
    assert "effectmesh up" in said
    assert "dead letter 2 cannot be replayed: its body was too large" in said
    assert [each["sequence"] for each in left] == [2]
    assert stored == 2


def _letter(fact: Message, sequence: int) -> DeadLetter:
    order = outgoing(fact)
    return DeadLetter(
        module=Module.CONTENT_ANALYSIS,
        stream=EVT,
        consumer=Module.CONTENT_ANALYSIS,
        sequence=sequence,
        subject=order.subject,
        delivered=8,
        error="RuntimeError: no such codec",
        reason="exhausted",
        headers=order.headers,
        body=bytes(order.data).decode(),
    )


async def _count(nats_url: str, stream: str) -> int:
    async with connected(nats_url, name="test") as bus:
        return int((await bus.api(f"STREAM.INFO.{stream}"))["state"]["messages"])
