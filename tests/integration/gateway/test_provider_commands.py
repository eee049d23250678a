"""``effectmesh provider``: against a served gateway with the registry behind it, and a host."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from click.testing import Result
from msgspec.structs import replace
from typer.testing import CliRunner

from actors.provider_registry import core
from actors.provider_registry.shipped import shipped
from effectmesh.cli.app import app
from tests.builders import NOON
from tests.contract.provider_registry.graphs import HERE, object_info, recorded
from tests.integration.gateway.test_providers import RegistryBus
from tests.integration.gateway.world import OPS, World

DREAM = next(each for each in shipped() if each.provider_id == "fx-dream-v1")
GRAPHS = HERE / "workflows"
Run = Callable[..., Result]


def run(*arguments: object) -> Result:
    """Run a command without a stack."""
    return CliRunner().invoke(app, ["provider", *map(str, arguments)])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home of the test's own, in which nothing runs."""
    monkeypatch.setenv("EFFECTMESH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def host() -> Iterator[str]:
    """Return the address of a ComfyUI that only says what it has."""

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = json.dumps(object_info(LoadImage__image=["reference.png"])).encode()
            self.send_response(200 if self.path == "/object_info" else 404)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@asynccontextmanager
async def served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Any, RegistryBus]]:
    """Yield how to run a command beside a gateway that is served, and the bus behind it."""
    world = World(folder / "world")
    world.bus = bus = RegistryBus(world)
    await bus.records.validate(core.graph_digest(DREAM), host="h", at=NOON)
    async with world.gateway() as client:
        monkeypatch.setenv("EFFECTMESH_GATEWAY_URL", str(client.base_url))
        monkeypatch.setenv("EFFECTMESH_TOKEN", OPS)
        yield lambda *given: anyio.to_thread.run_sync(partial(run, *given)), bus


def record_file(folder: Path, **changes: Any) -> Path:
    """Return a file with the dream's record."""
    path = folder / "record.json"
    path.write_bytes(msgspec.json.encode(replace(DREAM, **changes)))
    return path


async def test_a_provider_is_added_shown_edited_and_switched(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``show`` prints is what ``edit`` takes, and it knows what it was made from."""
    async with served(home, monkeypatch) as (command, bus):
        added = await command("add", record_file(home))
        again = await command("add", record_file(home))
        shown = await command("show", DREAM.provider_id, "--json")
        copy = home / "copy.json"
        copy.write_text(shown.stdout.replace('"Dream"', '"Mine"'))
        edited = await command("edit", DREAM.provider_id, copy)
        copy.write_text(shown.stdout.replace('"Dream"', '"Late"'))
        stale = await command("edit", DREAM.provider_id, copy)
        drained = await command("drain", DREAM.provider_id, "--reason", "too slow")
        enabled = await command("enable", DREAM.provider_id, "--json")
        human = await command("show", DREAM.provider_id)
        found = await bus.records.find(DREAM.provider_id)

    assert "revision 1, active" in added.stdout
    assert (again.exit_code, "nothing changed; revision 1 is the same" in again.stdout) == (0, True)
    assert "revision 2, active" in edited.stdout
    assert (stale.exit_code, "STALE_REVISION" in stale.stderr) == (1, True)
    assert "show fx-dream-v1 --json has the newest" in stale.stderr
    assert "active -> draining; too slow" in drained.stdout
    assert json.loads(enabled.stdout)["status"] == "active"
    assert "revision   2" in human.stdout
    assert "drain" in human.stdout
    assert found is not None
    assert found.display_name == "Mine"


async def test_every_fault_has_a_line_and_a_remedy(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What, why, and what next."""
    async with served(home, monkeypatch) as (command, _):
        broken = await command("add", record_file(home, capabilities=(), display_name=""))
        unproven = await command(
            "add", record_file(home, status="draft", provider_id="fx-x-v1", required_models=())
        )
        unknown = await command("disable", "fx-none")

    assert broken.exit_code == 1
    lines = broken.stderr.splitlines()
    assert lines[0] == "error: fx-dream-v1: the record cannot work (INVALID_PROVIDER)"
    assert "  capabilities is empty" in lines
    assert any("fix: mend every fault" in line for line in lines)
    assert unproven.exit_code == 0
    assert (unknown.exit_code, "effectmesh provider list" in unknown.stderr) == (1, True)


async def test_a_host_proves_a_draft(
    home: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the graph to a provider that serves, in three commands."""
    async with served(home, monkeypatch) as (command, _):
        imported = await command(
            *("import", GRAPHS / "fx-bloom.json", "--title", "My bloom", "--comfyui", host, "--add")
        )
        refused = await command("enable", "my-bloom-v1")
        proven = await command("validate", "my-bloom-v1", "--comfyui", host)
        enabled = await command("enable", "my-bloom-v1")

    assert "my-bloom-v1: revision 1, draft" in imported.stdout
    assert (refused.exit_code, "validate my-bloom-v1 --comfyui" in refused.stderr) == (1, True)
    assert "can run my-bloom-v1; it may be enabled" in proven.stdout
    assert "draft -> active" in enabled.stdout


async def test_a_file_that_a_host_can_run_is_proven_before_it_is_added(
    home: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it serves from the first moment."""
    path = record_file(home, graph=recorded_blur(), parameter_rules={}, default_parameters={})
    async with served(home, monkeypatch) as (command, _):
        proven = await command("validate", path, "--comfyui", host)
        added = await command("add", path)

    assert "it may be enabled" in proven.stdout
    assert "revision 1, active" in added.stdout


def recorded_blur() -> dict[str, Any]:
    """Return a graph whose classes the dream's record names."""
    return recorded("fx-blur")


def test_a_graph_is_imported_without_a_stack(home: Path, host: str) -> None:
    """Nothing is stored; the file is what ``add`` takes."""
    target = home / "out.json"
    made = run("import", GRAPHS / "fx-grain.json", "--comfyui", host, "--output", target)
    asked = run("import", GRAPHS / "fx-grain.json", "--json")
    bare = run("import", GRAPHS / "fx-grain.json")

    assert made.exit_code == 0
    assert json.loads(target.read_text())["provider_id"] == "fx-grain-v1"
    assert json.loads(asked.stdout)["record"]["status"] == "draft"
    assert "nothing was stored" in bare.stdout
    assert "no host was asked" in bare.stdout


def test_a_graph_that_cannot_be_a_provider_says_why(home: Path) -> None:
    """Each reason on its line, for people and for programs."""
    refused = run("import", GRAPHS / "fx-poster-and-sheet.json")
    asked = run("import", GRAPHS / "model-comfy-svd-v1-image.json", "--json")

    assert refused.exit_code == asked.exit_code == 1
    assert "  several outputs: 4 (SaveImage)" in refused.stderr
    assert "no video input" in json.loads(asked.stdout)["refusals"][0]


def test_all_that_a_host_lacks_is_listed(home: Path, host: str) -> None:
    """Records and graphs alike; the exit status is for scripts."""
    vace = next(each for each in shipped() if each.provider_id == "comfy-wan-vace-v1")
    path = home / "vace.json"
    path.write_bytes(msgspec.json.encode(vace))
    lacking = run("validate", path, "--comfyui", host)
    graph = run("validate", GRAPHS / "fx-blur.json", "--comfyui", host)

    assert lacking.exit_code == 1
    for model in vace.required_models:
        assert f"the host has no file {model}" in lacking.stderr
    assert (graph.exit_code, "can run" in graph.stdout) == (0, True)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "is no JSON"),
        (b'{"a": NaN}', "NaN and infinity are no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"7", "holds no provider record"),
        (b'{"provider_id": "x"}', "is no provider record: Object missing required field"),
        (b'{"1": {"class_type": "LoadVideo", "inputs": {}}}', "effectmesh provider import"),
    ],
)
def test_a_file_that_is_no_record_is_named(home: Path, content: bytes, why: str) -> None:
    """Before anything is asked of a gateway."""
    path = home / "bad.json"
    path.write_bytes(content)
    answer = run("add", path)

    assert answer.exit_code == 2
    assert why in answer.stderr
    assert str(path) in answer.stderr


def test_a_file_that_is_not_there_is_named(home: Path) -> None:
    """With the reason the system gives."""
    answer = run("add", home / "none.json")

    assert (answer.exit_code, "No such file" in answer.stderr) == (2, True)


def test_without_a_stack_it_says_how_to_start_one(home: Path) -> None:
    """And nothing is lost by trying."""
    answer = run("add", record_file(home))

    assert (answer.exit_code, "effectmesh up" in answer.stderr) == (1, True)


def test_an_edit_must_know_what_it_was_made_from(home: Path) -> None:
    """A file without a revision would overwrite whatever is there."""
    body = msgspec.to_builtins(DREAM)
    del body["revision"]
    path = home / "bare.json"
    path.write_text(json.dumps(body))
    answer = run("edit", DREAM.provider_id, path)

    assert (answer.exit_code, "--from" in answer.stderr) == (2, True)


def test_a_host_that_does_not_answer_is_named(home: Path) -> None:
    """With what an address looks like."""
    nowhere = "http://127.0.0.1:1"
    answer = run("validate", GRAPHS / "fx-blur.json", "--comfyui", nowhere)

    assert answer.exit_code == 1
    assert f"{nowhere} does not answer" in answer.stderr
    assert "http://127.0.0.1:8188" in answer.stderr
