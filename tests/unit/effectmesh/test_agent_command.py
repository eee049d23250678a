"""What ``effectmesh agent`` refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from effectmesh.cli.app import app


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--comfyui", "http://8.8.8.8:8188"), "--allow-public-host"),
        (("--comfyui", "ftp://127.0.0.1"), "http://"),
        (("--comfyui", "http://me:secret@127.0.0.1:8188"), "user"),
        (("--comfyui", "http://127.0.0.1:8188", "--lanes", "fast"), "interactive,batch"),
        (("--comfyui", "http://127.0.0.1:8188", "--lanes", ","), "interactive,batch"),
    ],
)
def test_an_agent_that_would_do_harm_is_not_started(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    """With the reason, and what to do instead; a password is not repeated."""
    found = CliRunner().invoke(
        app,
        ["agent", *arguments],
        env={"EFFECTMESH_HOME": str(tmp_path), "COLUMNS": "400"},
    )
    said = " ".join(found.output.split())

    assert found.exit_code == 1
    assert told in said
    assert "secret" not in said
