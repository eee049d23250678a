"""Scores pictures with Yahoo's open_nsfw, where the ONNX file and the runtime are installed.

The model is a file and its checksum, nothing is downloaded. The runtime is loaded in the decoding
child only, which has no network where the host allows it, and is told to keep its telemetry off.
Trained on photographs: a cartoon or a close-up of arms may score, so a score is a reason to look.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.inference import open_network, read_model

_CROP: Final = 224
_JPEG_QUALITY: Final = 75
"""The model was trained on pictures that had been JPEGs of this kind."""
_MEAN_BGR: Final = np.array([104, 117, 123], np.float32)
_THREADS: Final = 2


def nudity_scores(samples: list[NDArray[np.uint8]], path: Path, sha256: str) -> tuple[float, ...]:
    """Return a score from 0 to 1 for each square RGB picture.

    Raises:
        ImportError: the runtime is not installed.
        OSError: the file is not there.
        ModelChangedError: it is another file.
    """
    session = open_network(read_model(path, sha256), threads=_THREADS)
    name = session.get_inputs()[0].name
    return tuple(
        round(float(session.run(None, {name: prepared(sample)[None]})[0][0][1]), 4)
        for sample in samples
    )


def prepared(sample: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture as the model wants it: its middle, once a JPEG, blue first, no mean."""
    edge = (sample.shape[0] - _CROP) // 2
    middle = sample[edge : edge + _CROP, edge : edge + _CROP, ::-1]
    _, packed = cv2.imencode(
        ".jpg", np.ascontiguousarray(middle), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert picture is not None
    return np.ascontiguousarray(picture.astype(np.float32) - _MEAN_BGR)
