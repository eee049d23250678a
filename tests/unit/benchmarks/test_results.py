"""What the benchmarks write down and what they promise to measure are one list."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

import benchmarks
from benchmarks import goals, results
from benchmarks.goals import GOALS, GROUPS

FOLDER = Path(benchmarks.__file__).parent


def test_every_goal_is_named_once() -> None:
    """A row is found by its id."""
    assert len({each.id for each in GOALS}) == len(GOALS)
    assert all(each.id.startswith(each.group + ".") for each in GOALS)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_a_module_that_gives_a_row_for_each_of_its_goals(group: str) -> None:
    """A goal that nobody measures would never be missed. Read, not run: the peers are not here."""
    tree = ast.parse((FOLDER / f"{group}.py").read_text(encoding="utf-8"))
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    rows = [each for each in calls if isinstance(each.func, ast.Name) and each.func.id == "row"]
    named = {each.args[0].value for each in rows if isinstance(each.args[0], ast.Constant)}
    functions = {
        each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert named == {each.id for each in goals.goals_of(group)}
    assert "run" in functions


def test_the_committed_results_are_rows_of_these_goals() -> None:
    """Whoever reads the file relies on its fields; a goal that moved must be measured again."""
    rows = results.read()

    assert {each.id for each in rows} == {each.id for each in GOALS}
    for each in rows:
        goal = results.goal_named(each.id)
        assert (each.group, each.unit, each.floor) == (goal.group, goal.unit, goal.floor)
        assert (each.better, each.peer) == (goal.better, goal.peer)
        assert each.runs


def test_a_group_that_is_measured_again_leaves_the_others_alone(tmp_path: Path) -> None:
    """``make bench ONLY=hop`` must not forget the rest."""
    file = tmp_path / "results.json"
    results.write(
        [results.row("codec.roundtrip", [0.2]), results.row("hop.cpu.plain", [0.6])], file
    )
    results.write([results.row("hop.cpu.plain", [0.5])], file)

    found = {each.id: each.value for each in results.read(file)}

    assert found == {"codec.roundtrip": 0.2, "hop.cpu.plain": 0.5}


def test_a_field_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    """A misspelt field would otherwise be taken for its default."""
    file = tmp_path / "results.json"
    results.write([results.row("codec.roundtrip", [0.2])], file)
    file.write_bytes(file.read_bytes().replace(b'"peer_value"', b'"peer_values"'))

    with pytest.raises(msgspec.ValidationError):
        results.read(file)


def test_a_floor_is_missed_on_its_own_side() -> None:
    """More hops are better, more CPU is not."""
    rows = [
        results.row("hop.rate.plain", [1.3]),
        results.row("hop.cpu.plain", [0.7]),
        results.row("codec.roundtrip", [0.41]),
    ]

    assert [each.id for each in results.missed(rows)] == ["hop.rate.plain", "codec.roundtrip"]


def test_the_value_is_the_median_or_the_worst() -> None:
    """One lost event in five runs is a lost event."""
    assert results.row("hop.rate.plain", [1.0, 9.0, 2.0]).value == 2.0
    assert results.row("recovery.lost", [0.0, 0.0, 3.0], worst=True).value == 3.0
    assert results.row("subscribe.answered", [400.0, 399.0, 400.0], worst=True).value == 399.0


def test_an_unknown_group_is_refused_by_name() -> None:
    """``ONLY=hops`` must not measure nothing and succeed."""
    with pytest.raises(goals.UnknownGroupError, match="hops"):
        goals.goals_of("hops")
