"""Runs of a graph without a server around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.execution import Execution, Outcome
from gpu_agent.renderer.faults import Faults
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.validation import validate

STREAMED = Limits(memory_bytes=3_000_000)
"""So little that no clip of these tests is held, and enough for one frame."""

Said = Callable[[str, Mapping[str, Any]], None]


def start(
    root: Path,
    prompt: Mapping[str, Any],
    *,
    limits: Limits | None = None,
    said: Said = lambda _kind, _data: None,
    cache: Cache | None = None,
) -> Execution:
    """Return a run that is ready to be worked."""
    folders = Folders(root)
    catalog = Catalog(folders)
    valid = validate(prompt, catalog, folders, limit_nodes=len(prompt))
    behaviour = Behaviour()
    return Execution(
        "p",
        valid.graph,
        valid.outputs,
        folders=folders,
        catalog=catalog,
        cache=cache or Cache(limit_bytes=0, limit_entries=0),
        faults=Faults(behaviour),
        behaviour=behaviour,
        limits=limits or Limits(),
        say=said,
        now_ms=lambda: 0,
    )


def ran(root: Path, prompt: Mapping[str, Any], *, limits: Limits | None = None) -> Outcome:
    """Work a graph that must succeed."""
    outcome = start(root, prompt, limits=limits).run()
    assert outcome.succeeded, outcome.messages[-1]
    return outcome


def outputs(root: Path) -> dict[str, Path]:
    """Return the files that were saved, by their endings."""
    return {path.suffix: path for path in sorted((root / "output").rglob("*_.*"))}


def clip_graph(effects: Mapping[str, Any], last: str, **video: Any) -> dict[str, Any]:
    """Return a graph that loads clip.mp4, works ``effects`` on node 2's images and saves."""
    saved = {"video": ["s", 0], "filename_prefix": "out", "format": "mp4", "format.codec": "h264"}
    return {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "clip.mp4"}},
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        **effects,
        "s": {
            "class_type": "CreateVideo",
            "inputs": {"images": [last, 0], "fps": ["2", 2], "audio": ["2", 1], **video},
        },
        "t": {"class_type": "SaveVideo", "inputs": saved},
    }


def decoded(path: Path) -> list[np.ndarray[Any, Any]]:
    """Return all frames of a file in RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
