"""A transcript of an exchange with a real server, and what can be told from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from tests.contract.renderer.support import TRANSCRIPTS

Event: TypeAlias = dict[str, Any]

STEPS = frozenset({"http", "ws_open", "ws_closed"})
"""What the client did, other than to listen."""
_TERMINAL = frozenset({"execution_success", "execution_error", "execution_interrupted"})


class Recording(Struct):
    """A transcript."""

    name: str
    events: list[Event]
    held: Mapping[int, str] = {}
    """Step -> the class of node that worked, where the messages do not tell; empty is none."""
    quoted_until: int = 0
    """Up to this step the recorder's client library percent-encoded the names of files."""

    def graph_of(self, prompt_id: str) -> Mapping[str, Any]:
        """Return the graph that was submitted under an id."""
        for event in self.events:
            if event["ev"] == "http" and submitted(event) == prompt_id:
                graph: Mapping[str, Any] = event["request"]["json"]["prompt"]
                return graph
        raise KeyError(prompt_id)

    def ahead(self, start: int) -> str | None:
        """Return the class of the node to hold for the first step that needs one held.

        Only steps that come upon a run which was submitted before ``start`` count.
        """
        before = {submitted(e) for e in self.events[:start]}
        for index in range(start, len(self.events)):
            if self.events[index]["ev"] not in STEPS:
                continue
            held = self.held_at(index)
            if held is not None:
                return held[1] if held[0] in {*before, ""} else None
        return None

    def held_at(self, index: int) -> tuple[str, str] | None:
        """Return the run that a step comes upon, and the class of the node that works then."""
        event = self.events[index]
        if index in self.held:
            return ("", self.held[index]) if self.held[index] else None
        sent = event.get("t_sent_ms", event["t_ms"])
        said = [e["msg"] for e in self.events if e["ev"] == "ws_recv"]
        heard = sum(e["t_ms"] <= sent for e in self.events if e["ev"] == "ws_recv")
        run = _current(said[:heard])
        if run is None or run in self._over_by(index):
            return None
        current: str | None = None
        for message in said[:heard]:
            if message["data"].get("prompt_id") != run:
                continue
            if message["type"] in _TERMINAL:
                return None
            if message["type"] == "executing":
                current = message["data"]["node"]
            states = message["data"].get("nodes", {})
            if current in states and states[current]["state"] == "finished":
                current = None
        for message in said[heard:]:
            if current is not None:
                break
            if message["type"] == "executing" and message["data"].get("prompt_id") == run:
                current = message["data"]["node"]
        if current is None:
            return None
        return run, str(self.graph_of(run)[current]["class_type"])

    def _over_by(self, index: int) -> set[str]:
        """Return the prompts that a step, or one before it, found in the history."""
        answers = [e for e in self.events[: index + 1] if is_past(e)]
        return {prompt_id for answer in answers for prompt_id in answer["body"]}

    def first_number(self) -> int:
        """Return what the server had counted to when the recording began."""
        refused = 0
        for event in self.events:
            if event["ev"] != "http" or event["request"]["path"] != "/prompt":
                continue
            if submitted(event) and not {"front", "number"} & event["request"]["json"].keys():
                return int(event["body"]["number"]) - refused
            refused += event["request"]["method"] == "POST"
        return 0

    def found_cached(self) -> dict[str, Any]:
        """Return the nodes of the first graph that a run before the recording had left cached."""
        for event in self.events:
            if event["ev"] == "ws_recv" and event["msg"]["type"] == "execution_cached":
                told = event["msg"]["data"]
                graph = self.graph_of(told["prompt_id"])
                return {node_id: graph[node_id] for node_id in told["nodes"]}
        return {}


def recorded(name: str, held: Mapping[int, str] | None = None, quoted_until: int = 0) -> Recording:
    """Read a transcript."""
    path: Path = TRANSCRIPTS / f"{name}.json"
    events = json.loads(path.read_text())["events"]
    opened: dict[str, int] = {}
    for event in events:
        conn = event.get("conn", "")
        opened[conn] = opened.get(conn, 0) + (event["ev"] == "ws_open")
        if opened[conn] > 1:
            # the recorder used a name again after the connection was closed
            event["conn"] = f"{conn}#{opened[conn]}"
    return Recording(name=name, events=events, held=held or {}, quoted_until=quoted_until)


def submitted(event: Event) -> str | None:
    """Return the id of the prompt that a step submitted."""
    body = event.get("body")
    if event["ev"] != "http" or not isinstance(body, dict) or "node_errors" not in body:
        return None
    prompt_id = body.get("prompt_id")
    return prompt_id if isinstance(prompt_id, str) else None


def is_from(event: Event, conn: str) -> bool:
    """Say whether this is what a server said on a connection."""
    return event["ev"].startswith("ws_recv") and bool(event["conn"] == conn)


def is_past(event: Event) -> bool:
    """Say whether a step found a prompt in the history."""
    if event["ev"] != "http" or not event["request"]:
        return False
    return bool(event["request"]["path"].startswith("/history/") and event["body"])


def is_tick(event: Event) -> bool:
    """Say whether this is progress inside a node; how often that comes is a matter of speed."""
    if event["ev"] != "ws_recv":
        return False
    message = event["msg"]
    if message["type"] == "progress":
        return True
    states = message["data"].get("nodes", {})
    return message["type"] == "progress_state" and any(
        state["state"] == "running" and state["max"] != 1 for state in states.values()
    )


def _current(said: list[Event]) -> str | None:
    """Return the prompt that runs after these messages."""
    run: str | None = None
    for message in said:
        if message["type"] == "execution_start":
            run = message["data"]["prompt_id"]
        if message["type"] == "executing" and message["data"]["node"] is None:
            run = None
    return run
