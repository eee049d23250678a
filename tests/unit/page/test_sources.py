"""What the page's sources promise: pinned tools, nothing inline, the gateway's own field names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

import gateway.bodies
import gateway.outbox
import gateway.problems
import schemas.asks
import schemas.jobs
import schemas.money
import schemas.progress
import schemas.quality
import schemas.video

WEB = Path(__file__).resolve().parents[3] / "web"
TYPES = WEB / "src" / "lib" / "types.ts"

MODULES = (
    gateway.bodies,
    gateway.outbox,
    gateway.problems,
    schemas.asks,
    schemas.jobs,
    schemas.money,
    schemas.progress,
    schemas.quality,
    schemas.video,
)


def markup() -> Iterator[tuple[Path, str]]:
    """Yield every file of markup."""
    for path in (WEB / "index.html", *sorted((WEB / "src").rglob("*.svelte"))):
        yield path, path.read_text(encoding="utf-8")


def interfaces() -> dict[str, set[str]]:
    """Return the fields of each interface the page declares."""
    text = TYPES.read_text(encoding="utf-8")
    found = re.findall(r"^export interface (\w+) \{(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    return {name: set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE)) for name, body in found}


def struct_called(name: str) -> type[Struct] | None:
    """Return the Python struct of that name, wherever it is."""
    return next((getattr(each, name) for each in MODULES if hasattr(each, name)), None)


@pytest.mark.parametrize(("name", "fields"), sorted(interfaces().items()))
def test_the_page_names_only_fields_that_the_gateway_sends(name: str, fields: set[str]) -> None:
    """A renamed field would show as an empty place, and nobody would be told."""
    struct = struct_called(name)

    assert struct is not None, f"nothing in Python is called {name}"
    assert fields
    assert fields <= set(struct.__struct_fields__)


def test_the_page_knows_every_state() -> None:
    """A state it does not know has no name and no place among the steps."""
    text = TYPES.read_text(encoding="utf-8")
    [union] = re.findall(r"export type JobState =(.*?);", text, re.DOTALL)

    assert set(re.findall(r"'(\w+)'", union)) == {state.value for state in schemas.jobs.JobState}


def test_every_tool_is_pinned() -> None:
    """A build next year gives the bytes of today."""
    package = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    wanted = package["dependencies"] | package["devDependencies"]

    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


def test_the_lock_holds_hashes_and_no_address() -> None:
    """It must work with any registry, and with none but the hashes to trust."""
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}

    assert packages
    assert all("resolved" not in each for each in packages.values())
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())


def test_the_lock_serves_other_machines_too() -> None:
    """The binaries of other systems are forgotten when a lock is made carelessly."""
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    bundler = {name for name in lock["packages"] if "/@rolldown/binding-" in name}

    for system in ("linux-x64-gnu", "linux-x64-musl", "linux-arm64-gnu", "darwin-arm64"):
        assert any(name.endswith(system) for name in bundler), system


def test_nothing_is_inline() -> None:
    """The content security policy refuses inline scripts, styles and raw HTML in the browser."""
    refused = r"\sstyle=|\{@html|<script(?![^>]*(src=|lang=))|\son\w+=\"|javascript:"
    found = [
        f"{path.name}: {hit[0]}" for path, text in markup() for hit in re.finditer(refused, text)
    ]

    assert not found


def test_the_page_calls_nobody_else() -> None:
    """Its only server is the gateway it came from."""
    sources = [*markup(), (WEB / "src" / "app.css", (WEB / "src" / "app.css").read_text())]
    sources += [(path, path.read_text()) for path in sorted((WEB / "src" / "lib").glob("*.ts"))]
    named = "http://www.w3.org/2000/svg"
    found = [path.name for path, text in sources if "://" in text.replace(named, "")]

    assert not found
