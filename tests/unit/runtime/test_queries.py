"""SQL by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.runtime.queries import named_queries


def test_each_query_is_found_under_its_name(tmp_path: Path) -> None:
    """Comments inside a query stay with it; what stands before the first name is for people."""
    file = tmp_path / "queries.sql"
    file.write_text(
        "-- Money.\n\n-- name: add_line\ninsert into x\n-- a remark\nvalues ($1);\n\n"
        "-- name: all\nselect * from x;\n"
    )

    assert named_queries(file) == {
        "add_line": "insert into x\n-- a remark\nvalues ($1);",
        "all": "select * from x;",
    }


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """The second would silently win."""
    file = tmp_path / "queries.sql"
    file.write_text("-- name: a\nselect 1;\n-- name: a\nselect 2;\n")

    with pytest.raises(ValueError, match=r"queries\.sql"):
        named_queries(file)


def test_every_shipped_file_can_be_read() -> None:
    """A typing error in a heading would show in production only."""
    files = sorted((Path(__file__).parents[3] / "actors").rglob("queries.sql"))

    assert files
    for file in files:
        queries = named_queries(file)
        assert queries
        assert all(queries.values()), file
