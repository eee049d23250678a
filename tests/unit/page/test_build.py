"""When the page is built, and what a failed build leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from effectmesh import page
from effectmesh.page import Node, NoPageError

NODE = Node(folder=Path("/opt/node/bin"), npm=("/opt/node/bin/npm",))


class FakeTools:
    """What a build sees of npm: ``ci`` makes node_modules, ``build`` writes where it is told."""

    def __init__(self, *, node: str = "", fails: str = "", makes: bool = True) -> None:
        self._node = node
        self._fails = fails
        self._makes = makes
        self.ran: list[str] = []

    def node(self) -> Node:
        """Return the Node, or say why there is none."""
        if self._node:
            raise NoPageError(self._node)
        return NODE

    def run(self, command: Sequence[str], *, node: Node, cwd: Path, within_s: float) -> None:
        """Do what npm would do."""
        verb = command[1] if command[1] != "run" else command[2]
        self.ran.append(verb)
        if verb == self._fails:
            raise NoPageError(f"{verb} failed")
        if verb == "ci":
            (cwd / "node_modules").mkdir(exist_ok=True)
        elif self._makes:
            out = Path(command[command.index("--outDir") + 1])
            out.mkdir(parents=True)
            (out / "index.html").write_text((cwd / "src" / "main.ts").read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository with a page's sources, in a folder with a space in its name."""
    root = tmp_path / "a checkout"
    for name, text in {
        "web/package.json": "{}",
        "web/package-lock.json": "{}",
        "web/src/main.ts": "one",
        "gateway/__init__.py": "",
        ".cache/keep": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def served(root: Path) -> str:
    """Return what the gateway would serve."""
    return (root / "gateway" / "static" / "index.html").read_text()


def test_a_built_page_is_not_built_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo asks each time, and must start at once."""
    tools = FakeTools()

    page.make(root, tools, quiet=True)
    first = capsys.readouterr().out
    page.make(root, tools, quiet=True)

    assert tools.ran == ["ci", "build"]
    assert first.count("\n") == 1
    assert capsys.readouterr().out == ""
    assert served(root) == "one"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/main.ts", "two"),
        ("src/new.ts", ""),
        ("package-lock.json", "{ }"),
        (".npmrc", "x"),
    ],
)
def test_any_changed_source_builds_it_again(root: Path, name: str, text: str) -> None:
    """A page that is older than its sources calls an API that is no more."""
    page.make(root, FakeTools(), quiet=True)

    (root / "web" / name).write_text(text)

    assert not page.is_current(root)


def test_a_renamed_source_builds_it_again(root: Path) -> None:
    """The bytes are the same then, the page is not."""
    before = page.fingerprint(root / "web")

    (root / "web" / "src" / "main.ts").rename(root / "web" / "src" / "other.ts")

    assert page.fingerprint(root / "web") != before


def test_what_npm_leaves_behind_is_no_source(root: Path) -> None:
    """Or every build would ask for the next one."""
    before = page.fingerprint(root / "web")

    (root / "web" / "node_modules" / "vite").mkdir(parents=True)
    (root / "web" / "node_modules" / "vite" / "index.js").write_text("x")

    assert page.fingerprint(root / "web") == before


def test_packages_are_installed_again_only_for_another_lock(root: Path) -> None:
    """A rebuild while working on the page takes a second, not the registry."""
    tools = FakeTools()
    page.build(root, tools)
    (root / "web" / "src" / "main.ts").write_text("two")
    page.build(root, tools)
    (root / "web" / "package-lock.json").write_text("{ }")
    page.build(root, tools)

    assert tools.ran == ["ci", "build", "build", "ci", "build"]
    assert served(root) == "two"


def test_a_half_installed_folder_is_installed_again(root: Path) -> None:
    """An install may be killed in the middle, and its folder is there all the same."""
    with pytest.raises(NoPageError):
        page.build(root, FakeTools(fails="ci"))
    (root / "web" / "node_modules").mkdir()
    tools = FakeTools()

    page.build(root, tools)

    assert tools.ran == ["ci", "build"]


@pytest.mark.parametrize(
    "tools", [FakeTools(fails="ci"), FakeTools(fails="build"), FakeTools(makes=False)]
)
def test_a_failed_build_leaves_the_page_that_was_there(root: Path, tools: FakeTools) -> None:
    """An old page is better than none, and it still counts as old."""
    page.build(root, FakeTools())
    (root / "web" / "src" / "main.ts").write_text("two")
    (root / "web" / "package-lock.json").write_text("{ }")

    with pytest.raises(NoPageError):
        page.build(root, tools)

    assert served(root) == "one"
    assert not page.is_current(root)


def test_files_of_the_old_page_are_gone(root: Path) -> None:
    """The gateway serves whatever lies in the folder."""
    page.build(root, FakeTools())
    (root / "gateway" / "static" / "old.js").write_text("x")

    page.build(root, FakeTools())

    assert not (root / "gateway" / "static" / "old.js").exists()
    assert not (root / ".cache" / "page.old").exists()


def test_quietly_a_missing_node_is_one_line_and_no_failure(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo goes on: the API works without the page."""
    status = page.make(root, FakeTools(node="the registry is away"), quiet=True)
    warned = capsys.readouterr().err

    assert status == 0
    assert warned.count("\n") == 1
    assert "the registry is away" in warned


def test_asked_for_the_page_a_missing_node_is_a_failure(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever says ``make web`` wants it."""
    status = page.make(root, FakeTools(node="the registry is away"), quiet=False)

    assert status == 1
    assert "the registry is away" in capsys.readouterr().err


def test_an_installed_wheel_needs_no_sources(root: Path) -> None:
    """It carries the built page."""
    page.build(root, FakeTools())
    (root / "web" / "package.json").unlink()
    tools = FakeTools()

    assert page.make(root, tools, quiet=True) == 0
    assert tools.ran == []


@pytest.mark.parametrize(
    ("version", "accepted"),
    [
        ("v18.20.4", False),
        ("v20.18.1", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.19.0", True),
        ("", False),
        ("node: not found", False),
    ],
)
def test_only_a_node_that_the_build_tools_know_is_used(version: str, accepted: bool) -> None:
    """An older one fails in the middle of a build, with a riddle."""
    assert page.accepts(version) == accepted


NPM_SAYS = """\
npm error code ENOTFOUND
npm error errno ENOTFOUND
npm error network request failed, reason: no such host
npm error A complete log of this run can be found in: /x
"""

VITE_SAYS = """
> effectmesh-web@0.1.0 build
> vite build

\x1b[31m✗ Build failed in 79ms\x1b[39m
error during build:
Build failed with 1 error:

[plugin vite-plugin-svelte:compile] App.svelte:196:4
RolldownError: App.svelte:196:4 Expected whitespace
    at build (file:///x.mjs:1:2)
"""

PIP_SAYS = """\
WARNING: something is old
ERROR: No matching distribution found
"""


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("", ""),
        (NPM_SAYS, "network request failed, reason: no such host"),
        (VITE_SAYS, "RolldownError: App.svelte:196:4 Expected whitespace"),
        (PIP_SAYS, "No matching distribution found"),
    ],
)
def test_of_all_that_a_tool_says_the_reason_is_told(output: str, why: str) -> None:
    """One line has to be enough to act on."""
    assert page.reason(output) == why
