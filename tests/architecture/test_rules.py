"""The house rules about time, environment, tasks and names. An exception has its reason here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import PACKAGES, ROOT, files, parsed, place, sources

CLOCKS = {
    ("actors/runtime/contract.py", "SystemClock"): "the one clock that everything is given",
    ("effectmesh/doctor.py", "run_checks"): "it is the machine's own clock that is being checked",
}
"""Where the time may be read: a file, and the class or function in it."""

ENVIRONMENT = {
    "effectmesh": "the composition root reads it once, into one Settings",
}
"""Which package may look at the environment."""

SUBJECT = re.compile(r"(evt|cmd|saga|timer|due|tlm|prog|log|dlq|ask|\$KV)\.")

OF_THIS_MACHINE = re.compile(
    # put together, or this file would hold what it looks for
    "|".join(
        (
            "/" + "work/",
            "/" + "tmp/clips",
            "/" + "root/",
            r"(pypi|pythonhosted|npmjs)" + r"\.(org|com)",
            r"--(extra-)?index" + "-url",
        )
    )
)

LATER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


def test_nobody_starts_a_task_that_nobody_waits_for() -> None:
    """Its failure would go unseen, and a drain would not wait for it."""
    started = [
        place(path, node)
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute | ast.Name)
        and _name(node) in {"create_task", "ensure_future"}
    ]

    assert started == []


def test_only_the_composition_root_reads_the_environment() -> None:
    """A setting that is read somewhere else is not shown, not checked and not tested."""
    reads = [
        place(path, node)
        for path in sources(*(each for each in PACKAGES if each not in ENVIRONMENT))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute | ast.Name)
        and _name(node) in {"environ", "environb", "getenv"}
    ]

    assert reads == []


def test_time_comes_from_a_clock() -> None:
    """What reads the time by itself can be neither replayed nor tested."""
    asked = [
        place(path, node)
        for path in sources()
        for owner, node in _with_owner(parsed(path))
        if _reads_the_time(node) and (str(path.relative_to(ROOT)), owner) not in CLOCKS
    ]

    assert asked == []


def test_nobody_else_spells_a_subject() -> None:
    """Two spellings drift apart, and then one module talks to nobody."""
    spelt = [
        place(path, node)
        for path in sources(*(each for each in PACKAGES if each != "subjects"))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SUBJECT.match(node.value)
    ]

    assert spelt == []


def test_every_module_says_what_it_is() -> None:
    """Its first line is the map of the code below it."""
    silent = [place(path, 1) for path in sources() if not ast.get_docstring(parsed(path))]

    assert silent == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    """Such a line works for its author only, and tells the world how that machine is set up."""
    assert _lines_with(OF_THIS_MACHINE) == []


def test_nothing_is_left_for_later() -> None:
    """A note in the code is seen by nobody; an issue is."""
    assert _lines_with(LATER) == []


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        place(path, number)
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def _name(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _with_owner(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield every node with the name of the class or function at the top that it is in."""
    for top in tree.body:
        for node in ast.walk(top):
            yield getattr(top, "name", ""), node


def _reads_the_time(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    whose = ast.unparse(node.func.value).rpartition(".")[2]
    return (whose, node.func.attr) in {
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
        ("date", "today"),
        ("time", "time"),
        ("time", "time_ns"),
    }


def test_the_rules_can_fail(tmp_path: Path) -> None:
    """A pattern that matches nothing would pass for ever."""
    bad = tmp_path / "bad.py"
    bad.write_text("import time\nx = time.time()\ny = f'evt.{x}'\n", encoding="utf-8")
    tree = parsed(bad)

    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]

    assert any(_reads_the_time(node) for node in ast.walk(tree))
    assert any(isinstance(text, str) and SUBJECT.match(text) for text in texts)
    assert OF_THIS_MACHINE.search("see /" + "work/main")
    assert LATER.search("# TO" + "DO: later")
