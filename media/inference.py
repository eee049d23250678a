"""Runs ONNX networks: a file is checked before it is loaded, and the runtime is kept from talking.

The runtime is an extra that is slow to load and has no types, so it is loaded when it is needed.
Some of its releases report home unless the environment of the process says otherwise before they
are loaded; that is said here, in the one place that loads it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from pathlib import Path
from typing import Any, Final

_RUNTIME: Final = "onnxruntime"
_SILENT: Final = ("ORT_DISABLE_TELEMETRY", "1")
_ERRORS_ONLY: Final = 3


class ModelChangedError(ValueError):
    """The file is not the model it is said to be."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(f"the checksum of {path} is {found}")
        self.path = path


def read_model(path: Path, sha256: str) -> bytes:
    """Return the content of a model's file.

    Raises:
        OSError: the file is not there.
        ModelChangedError: it is another file.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelChangedError(path, found)
    return content


def open_network(content: bytes, *, threads: int) -> Any:
    """Return a session of the runtime; its calls use so many threads and no network.

    Raises:
        ImportError: the runtime is not installed.
    """
    # this changes what the library reads, and nothing that Python code does
    os.putenv(*_SILENT)
    runtime: Any = importlib.import_module(_RUNTIME)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return runtime.InferenceSession(
        content, sess_options=options, providers=["CPUExecutionProvider"]
    )
