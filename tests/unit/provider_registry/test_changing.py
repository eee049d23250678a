"""What becomes of each order: nothing broken serves, nothing is overwritten, nothing comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from actors.provider_registry.changing import Decision, Known, decide
from schemas.commands import PutProvider, SetProviderStatus
from tests.builders import NOON
from tests.unit.provider_registry.support import (
    LATER,
    PROVEN,
    known,
    put,
    record,
    seen,
    switch,
    with_class,
)

BROKEN = record(status="draft", capabilities=(), default_parameters={"power": 9})


def decided(
    before: Known | None, heard: PutProvider | SetProviderStatus, **options: Any
) -> Decision:
    """Return what becomes of an order."""
    usual: dict[str, Any] = {"validated": frozenset(), "able": (), "at": NOON}
    return decide(before, heard, **(usual | options))


def test_a_new_provider_that_a_host_can_run_serves() -> None:
    """It was validated before it was added."""
    decision = decided(None, put(record()), validated=PROVEN)

    assert decision.record is not None
    assert (decision.change.outcome, decision.status) == ("done", "active")
    assert (decision.record.revision, decision.record.status) == (1, "active")
    assert decision.change.previous == ""


@pytest.mark.parametrize("wanted", ["active", "shadow"])
def test_a_new_provider_that_nobody_has_tried_is_kept_as_a_draft(wanted: str) -> None:
    """Its first jobs would wait for a host that never comes."""
    decision = decided(None, put(record(status=wanted)))

    assert (decision.change.outcome, decision.status) == ("done", "draft")
    assert f"kept as draft and not {wanted}" in decision.change.reason


@pytest.mark.parametrize("wanted", ["draft", "disabled", "draining"])
def test_a_new_provider_that_is_not_to_serve_is_stored_as_it_is(wanted: str) -> None:
    """Nothing needs to be proven for that."""
    assert decided(None, put(record(status=wanted))).status == wanted


def test_force_lets_an_unproven_provider_serve() -> None:
    """An admin may know of a host that is not there yet."""
    assert decided(None, put(record(), force=True)).status == "active"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("status", ["active", "draft", "disabled"])
def test_a_broken_record_is_stored_under_no_name(status: str, force: bool) -> None:
    """Force is about hosts; what cannot work cannot be forced."""
    broken = record(status=status, capabilities=(), default_parameters={"power": 9})
    decision = decided(None, put(broken, force=force), validated=PROVEN)

    assert (decision.change.outcome, decision.record, decision.status) == ("invalid", None, "")
    assert len(decision.change.faults) == 2


def test_the_same_content_again_changes_nothing() -> None:
    """``add`` in a script that runs twice."""
    decision = decided(known("disabled"), put(record(status="active")))

    assert (decision.change.outcome, decision.record, decision.status) == ("unchanged", None, "")
    assert (decision.change.revision, decision.change.status) == (3, "disabled")


def test_an_edit_that_was_made_already_is_unchanged_whatever_it_was_made_from() -> None:
    """The answer to the first try was lost."""
    assert decided(known(), put(record(), made_from=2)).change.outcome == "unchanged"


def test_other_content_under_a_taken_name_is_refused() -> None:
    """Who adds does not expect to replace."""
    decision = decided(known(), put(record(display_name="Mine")))

    assert (decision.change.outcome, decision.record) == ("exists", None)
    assert "at revision 3" in decision.change.reason


@pytest.mark.parametrize("made_from", [1, 2, 4])
def test_an_edit_of_another_revision_is_refused(made_from: int) -> None:
    """Somebody else's edit would be lost without a word."""
    decision = decided(known("draft"), put(record(display_name="Mine"), made_from=made_from))

    assert (decision.change.outcome, decision.record) == ("stale", None)
    assert f"revision {made_from} was edited, and the newest is 3" in decision.change.reason


def test_an_edit_of_nothing_is_refused() -> None:
    """A misspelt id must not make a provider."""
    assert decided(None, put(record(), made_from=3)).change.outcome == "unknown"


@pytest.mark.parametrize("status", ["active", "disabled", "draining", "draft"])
def test_an_edit_leaves_the_status_as_it_is(status: str) -> None:
    """The file still says active; meanwhile somebody switched the provider off."""
    edition = record(display_name="Mine", status="active")
    decision = decided(known(status, validated=PROVEN), put(edition, made_from=3), validated=PROVEN)

    assert decision.record is not None
    assert (decision.status, decision.record.status) == (status, status)
    assert (decision.change.status, decision.change.previous) == (status, status)
    assert decision.record.revision == 4


def test_an_edit_that_needs_more_than_is_proven_is_refused_while_it_serves() -> None:
    """Jobs would go on coming, to a graph that no host can run."""
    edition = put(with_class("NewNode"), made_from=3)
    decision = decided(known(validated=PROVEN), edition, validated=PROVEN, able=seen())

    assert (decision.change.outcome, decision.record) == ("unproven", None)
    assert decided(known("draft"), edition).change.outcome == "done"
    assert (
        decided(known(), put(with_class("NewNode"), made_from=3, force=True)).change.outcome
        == "done"
    )


def test_an_edit_that_needs_no_more_than_before_is_as_proven_as_before() -> None:
    """Another default, another price: the agents that run it can still run it."""
    graph = {**record().graph}
    graph["3"] = {
        "class_type": "ImageBlur",
        "inputs": {"image": ["2", 0], "blur_radius": 9, "sigma": 4.0},
    }
    edition = put(record(graph=graph), made_from=3)

    assert decided(known(), edition, able=seen()).change.outcome == "done"
    assert decided(known(), edition).change.outcome == "unproven"


@pytest.mark.parametrize("wanted", ["active", "shadow"])
def test_a_draft_that_an_agent_can_run_may_serve(wanted: str) -> None:
    """Agents try drafts too; that is what drafts are for."""
    decision = decided(known("draft"), switch(wanted), able=seen())

    assert (decision.change.outcome, decision.status) == ("done", wanted)
    assert decision.change.previous == "draft"
    assert decision.record is None


def test_what_an_agent_said_of_the_revision_before_proves_nothing() -> None:
    """It looks at the registry every few seconds, and its word is a moment old."""
    just_before = seen(LATER - timedelta(seconds=1))

    assert decided(known("draft"), switch("active"), able=just_before).change.outcome == "unproven"


@pytest.mark.parametrize("status", ["draft", "disabled", "draining"])
def test_nothing_serves_that_no_host_can_run(status: str) -> None:
    """Whatever it was before; ``force`` takes the blame."""
    refused = decided(known(status), switch("active"))

    assert (refused.change.outcome, refused.status) == ("unproven", "")
    assert decided(known(status), switch("active", force=True)).status == "active"
    assert decided(known(status, validated=PROVEN), switch("active")).status == "active"


@pytest.mark.parametrize("wanted", ["active", "shadow"])
def test_a_broken_record_serves_not_even_by_force(wanted: str) -> None:
    """It may have been stored by an older version, which knew fewer faults."""
    stored = known(record=BROKEN, validated=PROVEN)
    decision = decided(stored, switch(wanted, force=True), able=seen())

    assert (decision.change.outcome, decision.status) == ("invalid", "")
    assert len(decision.change.faults) == 2


@pytest.mark.parametrize("wanted", ["draining", "disabled"])
def test_a_broken_or_unproven_provider_can_always_be_taken_out(wanted: str) -> None:
    """Switching off must never be what fails."""
    assert decided(known(record=BROKEN), switch(wanted)).status == wanted


def test_the_status_it_has_already_is_unchanged() -> None:
    """A double click."""
    assert decided(known("draining"), switch("draining")).change.outcome == "unchanged"


def test_a_status_that_does_not_exist_is_refused() -> None:
    """With those that do."""
    decision = decided(known(), switch("asleep"))

    assert (decision.change.outcome, decision.status) == ("invalid", "")
    assert "draining" in decision.change.reason


def test_a_provider_that_does_not_exist_has_no_status() -> None:
    """Setting one would make half a provider."""
    assert decided(None, switch("active")).change.outcome == "unknown"
