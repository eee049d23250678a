"""Whatever becomes of the child, the caller gets a verdict and nothing is left behind.

The child is played by small shell scripts, because no honest decoder can be made to misbehave
on demand.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio import to_thread

from media.errors import SandboxBrokenError, StoreFullError
from media.sandbox import Sandbox
from media.verdicts import Inspected, IntakeLimits, Normalized, Refusal
from tests.builders import metadata
from tests.integration.video_intake.footage import write_clip

NORMALIZED = msgspec.json.encode(
    Normalized(
        source=metadata(),
        metadata=metadata(),
        video="VIDEO",
        poster="poster.webp",
        preview="preview.webp",
    )
).decode()

Child = Callable[[str], Sandbox]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a good clip."""
    return write_clip(tmp_path / "clip")


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    """Return an empty folder."""
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def played_by(tmp_path: Path) -> Child:
    """Return a sandbox whose children run a shell script."""

    def sandbox(script: str) -> Sandbox:
        path = tmp_path / "child"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return Sandbox(limits=IntakeLimits(wall_seconds=60.0), children=1, python=str(path))

    return sandbox


@pytest.mark.parametrize(
    "script",
    [
        "echo ready; kill -SEGV $$",
        "echo ready; kill -KILL $$",
        "echo ready; exit 3",
        "echo ready; echo not json",
        "echo ready",
        'echo ready; echo \'{"verdict":"perfect"}\'',
        'echo ready; echo \'{"verdict":"inspected"}\'',
        'echo ready; while :; do echo "and another thing"; done',
    ],
)
async def test_a_child_that_goes_wrong_is_an_unreadable_file(
    script: str, played_by: Child, clip: Path
) -> None:
    """A file that crashes its decoder, or takes it over, is one more bad file."""
    verdict = await played_by(script).inspect(clip)

    assert isinstance(verdict, Refusal)
    assert verdict.code == "UNREADABLE"


async def test_the_operator_learns_why_a_child_ended(played_by: Child, clip: Path) -> None:
    """The user is told what to do; the child's last words are kept apart."""
    verdict = await played_by("echo ready; echo the last words >&2; exit 3").inspect(clip)

    assert isinstance(verdict, Refusal)
    assert "the last words" in verdict.detail
    assert "the last words" not in verdict.reason + verdict.hint


@pytest.mark.parametrize("script", ["exit 1", "echo no module named av >&2; exit 1", "echo steady"])
async def test_a_machine_that_cannot_decode_is_no_fault_of_the_file(
    script: str, played_by: Child, clip: Path
) -> None:
    """A broken installation must not tell every user that the upload is broken."""
    with pytest.raises(SandboxBrokenError):
        await played_by(script).inspect(clip)


async def test_a_missing_interpreter_is_no_fault_of_the_file(tmp_path: Path, clip: Path) -> None:
    """The same, one step earlier."""
    with pytest.raises(SandboxBrokenError):
        await Sandbox(python=str(tmp_path / "absent")).inspect(clip)


async def test_a_full_disk_is_no_fault_of_the_file(played_by: Child, clip: Path) -> None:
    """The job waits for room instead of losing its clip."""
    with pytest.raises(StoreFullError):
        await played_by('echo ready; echo \'{"verdict":"out_of_room"}\'').inspect(clip)


async def test_the_child_sees_nothing_of_the_environment(
    played_by: Child, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that is taken over finds no credentials, and not the name of the file."""
    monkeypatch.setenv("CANARY", "secret-of-the-parent")
    verdict = await played_by("echo ready; unset PYTHONPATH; env >&2; exit 3").inspect(clip)

    assert isinstance(verdict, Refusal)
    assert "LC_ALL=C.UTF-8" in verdict.detail
    assert "secret-of-the-parent" not in verdict.detail
    assert str(clip) not in verdict.detail


async def test_the_child_gets_the_file_and_an_empty_folder(played_by: Child, clip: Path) -> None:
    """It can find no neighbour's upload by looking around."""
    verdict = await played_by(
        "echo ready; ([ -z $(ls -A) ] && echo nothing else here; head -c 8 | od -c) >&2; exit 3"
    ).inspect(clip)

    assert isinstance(verdict, Refusal)
    assert "f   t   y   p" in verdict.detail
    assert "nothing else here" in verdict.detail


@pytest.mark.parametrize(
    "made",
    [
        "touch poster.webp preview.webp; ln -s poster.webp mezzanine.mp4",
        "touch mezzanine.mp4 preview.webp",
        "touch mezzanine.mp4 poster.webp",
        "mkfifo mezzanine.mp4; touch poster.webp preview.webp",
        "mkdir mezzanine.mp4; touch poster.webp preview.webp",
    ],
)
async def test_only_files_that_were_made_are_taken(
    made: str, played_by: Child, clip: Path, out_dir: Path
) -> None:
    """A child that was taken over must not get a file of ours published by linking to it."""
    answer = NORMALIZED.replace("VIDEO", "mezzanine.mp4")
    verdict = await played_by(f"echo ready; {made}; echo '{answer}'").normalize(clip, out_dir)

    assert isinstance(verdict, Refusal)
    assert verdict.code == "UNREADABLE"


async def test_a_child_cannot_name_another_file(
    played_by: Child, clip: Path, out_dir: Path
) -> None:
    """Its answer holds names, and a name may climb out of the folder."""
    answer = NORMALIZED.replace("VIDEO", "../clip")
    script = f"echo ready; touch mezzanine.mp4 poster.webp preview.webp; echo '{answer}'"
    verdict = await played_by(script).normalize(clip, out_dir)

    assert isinstance(verdict, Refusal)
    assert verdict.code == "UNREADABLE"


async def test_a_cancelled_caller_leaves_no_child(
    played_by: Child, clip: Path, tmp_path: Path
) -> None:
    """A drained actor must not leave decoders behind, nor their places taken."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sandbox = played_by(f"echo $$ > {pipe}; echo ready; exec sleep 600")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sandbox.inspect, clip)
        child = int(await to_thread.run_sync(pipe.read_text))
        tasks.cancel_scope.cancel()

    with anyio.fail_after(10):
        while _is_there(child):  # noqa: ASYNC110  the kernel tells nobody
            await anyio.sleep(0.01)


def _is_there(process: int) -> bool:
    """Tell whether a process runs; one that was killed may take a moment to be collected."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_takes_too_long_is_ended(
    played_by: Child, clip: Path, tmp_path: Path
) -> None:
    """The wall limit ends what the processor limit cannot see: waiting."""
    sandbox = played_by("echo ready; exec sleep 600")
    sandbox.limits = IntakeLimits(wall_seconds=0.2)
    verdict = await sandbox.inspect(clip)

    assert isinstance(verdict, Refusal)
    assert verdict.code == "TIMED_OUT"


async def test_more_files_than_children_are_all_looked_at(clip: Path) -> None:
    """They wait for a place; nobody is turned away."""
    sandbox, verdicts = Sandbox(children=1), []

    async def inspect() -> None:
        verdicts.append(await sandbox.inspect(clip))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(inspect)

    assert [type(verdict) for verdict in verdicts] == [Inspected] * 3
