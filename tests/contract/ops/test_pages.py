"""Runbooks and the unit file: complete, and true to the code where that can be checked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from effectmesh.up import GRACE_S
from subjects.topology import BUCKETS, MAX_DELIVER, STREAMS, in_lanes, topology
from tests.architecture.tree import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(page for page in RUNBOOKS.glob("*.md") if page.name != "README.md")
SPOKEN = [*PAGES, ROOT / "nats" / "COOKBOOK.md"]
UNIT = ROOT / "ops" / "systemd" / "effectmesh@.service"

STREAM_COMMAND = re.compile(r"nats (?:stream (?:view|get|info|rmm)|consumer report) ([A-Z_]+)\b")
CONSUMER = re.compile(r"nats consumer (?:info|rm) ([A-Z]+) ([\w-]+)")
BUCKET = re.compile(r"nats kv (?:ls|get|history) ([A-Z]+)\b")


def test_there_is_a_runbook_for_each_trouble() -> None:
    """These seven are what an operator meets first."""
    assert {page.stem for page in PAGES} >= {
        "broker-down",
        "database-down",
        "dead-letters",
        "disk-full",
        "job-stuck",
        "ledger-broken",
        "provider-failing",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_says_how_it_shows_what_it_costs_and_what_to_do(page: Path) -> None:
    """In the middle of the night nobody looks for the rest of it elsewhere."""
    text = page.read_text(encoding="utf-8")
    places = [
        text.index(f"\n## {part}\n") for part in ("How you notice", "What it costs", "What to do")
    ]

    assert places == sorted(places)


def test_every_runbook_is_in_the_index() -> None:
    """A page that nobody finds helps nobody."""
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")

    assert all(f"({page.name})" in index for page in PAGES)


@pytest.mark.parametrize("page", SPOKEN, ids=lambda page: page.stem)
def test_streams_consumers_and_buckets_on_a_page_exist(page: Path) -> None:
    """They are typed as they stand there."""
    text = page.read_text(encoding="utf-8")
    declared = topology(in_lanes(["fx-warm-grade-v1"]))
    streams = {each.name for each in STREAMS} | {"STREAM"}  # a placeholder

    assert set(STREAM_COMMAND.findall(text)) <= streams
    assert set(BUCKET.findall(text)) <= {each.name for each in BUCKETS}
    assert set(CONSUMER.findall(text)) <= {(each.stream, each.name) for each in declared.consumers}


def test_the_pages_know_how_often_a_message_may_fail() -> None:
    """The number stands in three pages; here it is that they follow the code."""
    for name in ("docs/limits.md", "docs/runbooks/dead-letters.md", "nats/COOKBOOK.md"):
        assert re.search(rf"\b{MAX_DELIVER}\b", (ROOT / name).read_text(encoding="utf-8")), name


def test_the_cookbook_backs_up_what_cannot_be_made_again() -> None:
    """Live progress and presence may be lost; nothing else."""
    text = (ROOT / "nats" / "COOKBOOK.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^for stream in (.+); do$", text, flags=re.MULTILINE)
    stored = {each.name for each in STREAMS} | {f"KV_{each.name}" for each in BUCKETS}

    assert set(line.split()) == stored - {"PROGRESS", "KV_PRESENCE"}


def test_the_context_holds_no_password() -> None:
    """It is copied into homes and committed here."""
    context = json.loads((ROOT / "nats" / "context.json").read_text(encoding="utf-8"))

    assert context["user"] == "effectmesh"
    assert context["password"] == ""


def test_a_unit_lets_a_process_drain() -> None:
    """Else every deployment ends in redeliveries."""
    text = UNIT.read_text(encoding="utf-8")
    found = re.search(r"^TimeoutStopSec=(\d+)$", text, flags=re.MULTILINE)

    assert found
    assert int(found[1]) > GRACE_S
    assert "KillSignal=SIGTERM" in text
