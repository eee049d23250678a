"""EfficientNet-Lite0 as an ONNX network, put together from its weights.

M. Tan and Q. Le, EfficientNet (ICML 2019), in the Lite form of 2020: no squeeze and excitation,
ReLU6 for swish. Batch norm is folded into the convolution before it. Padding is TensorFlow's
("SAME" pads more at the end), for that is how the weights were trained.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.onnx_file import Network
from media.tag_weights import UnreadableWeightsError, Weights

SIDE: Final = 224
CLASSES: Final = 1_000
FEATURES: Final = 1_280
INPUT: Final = "pictures"
SCORES: Final = "scores"
"""Of the classes, before they are made to sum to 1."""
SEMANTIC: Final = "semantic"
EARLY_LAYERS: Final = {"_conv_stem": 32, "_blocks.0": 16, "_blocks.2": 24}
"""Layers whose statistics tell the look of a picture, and how many channels each has."""

_STAGES: Final = (
    # times, kernel, stride, growth inside
    (1, 3, 1, 1),
    (2, 3, 2, 6),
    (2, 5, 2, 6),
    (3, 3, 2, 6),
    (3, 5, 1, 6),
    (4, 5, 2, 6),
    (1, 3, 1, 6),
)
_EPSILON: Final = 1e-3
_SIX: Final = 6.0


def mean_of(layer: str) -> str:
    """Return the name under which a layer's channel means come out."""
    return f"{layer}:mean"


def square_of(layer: str) -> str:
    """Return the name under which the means of a layer's squared channels come out."""
    return f"{layer}:square"


def lite0(weights: Weights) -> bytes:
    """Return the network as an ONNX file: raw scores, pooled features, early statistics.

    Raises:
        UnreadableWeightsError: a weight is missing or has another shape.
    """
    try:
        return _lite0(weights)
    except KeyError as missing:
        raise UnreadableWeightsError(f"{missing} is missing") from missing


def _lite0(weights: Weights) -> bytes:
    net = Network()
    net.tensor("least", np.zeros((), np.float32))
    net.tensor("most", np.full((), _SIX, np.float32))
    flow = _convolution(net, weights, "_conv_stem", "_bn0", INPUT, stride=2)
    for index, (kernel, stride, growth) in enumerate(_blocks()):
        flow = _block(net, weights, f"_blocks.{index}", flow, (kernel, stride, growth))
    flow = _convolution(net, weights, "_conv_head", "_bn1", flow)
    pooled = net.node("ReduceMean", [flow], SEMANTIC, axes=(2, 3), keepdims=0)
    for layer in EARLY_LAYERS:
        shown = "_conv_stem:out" if layer == "_conv_stem" else f"{layer}._project_conv:out"
        net.node("ReduceMean", [shown], mean_of(layer), axes=(2, 3), keepdims=0)
        squared = net.node("Mul", [shown, shown], f"{layer}:squared")
        net.node("ReduceMean", [squared], square_of(layer), axes=(2, 3), keepdims=0)
    matrix = net.tensor("_fc.weight", _checked(weights["_fc.weight"], (CLASSES, FEATURES)))
    bias = net.tensor("_fc.bias", _checked(weights["_fc.bias"], (CLASSES,)))
    net.node("Gemm", [pooled, matrix, bias], SCORES, transB=1)
    outputs: dict[str, tuple[int | str, ...]] = {
        SCORES: ("n", CLASSES),
        SEMANTIC: ("n", FEATURES),
    }
    for layer, channels in EARLY_LAYERS.items():
        outputs[mean_of(layer)] = outputs[square_of(layer)] = ("n", channels)
    return net.encode(inputs={INPUT: ("n", 3, SIDE, SIDE)}, outputs=outputs)


def _blocks() -> list[tuple[int, int, int]]:
    """Return kernel, stride and growth of each block; only the first of a stage has a stride."""
    return [
        (kernel, stride if each == 0 else 1, growth)
        for times, kernel, stride, growth in _STAGES
        for each in range(times)
    ]


def _block(
    net: Network, weights: Weights, name: str, entering: str, form: tuple[int, int, int]
) -> str:
    kernel, stride, growth = form
    flow = entering
    if growth > 1:
        flow = _convolution(net, weights, f"{name}._expand_conv", f"{name}._bn0", flow)
    deep = f"{name}._depthwise_conv"
    _checked(weights[f"{deep}.weight"], (None, 1, kernel, kernel))
    flow = _convolution(net, weights, deep, f"{name}._bn1", flow, stride=stride, grouped=True)
    project = f"{name}._project_conv"
    flow = _convolution(net, weights, project, f"{name}._bn2", flow, bounded=False)
    wide = weights[f"{name}._expand_conv.weight"].shape[1] if growth > 1 else None
    if stride == 1 and wide == weights[f"{project}.weight"].shape[0]:
        flow = net.node("Add", [flow, entering], f"{name}:sum")
    return flow


def _convolution(
    net: Network,
    weights: Weights,
    name: str,
    norm: str,
    entering: str,
    *,
    stride: int = 1,
    grouped: bool = False,
    bounded: bool = True,
) -> str:
    kernel = weights[f"{name}.weight"]
    gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    side = kernel.shape[-1]
    flow = net.node(
        "Conv",
        [
            entering,
            net.tensor(f"{name}.weight", kernel * gain[:, None, None, None]),
            net.tensor(f"{name}.bias", shift),
        ],
        f"{name}:out" if not bounded else f"{name}:raw",
        kernel_shape=(side, side),
        strides=(stride, stride),
        group=kernel.shape[0] if grouped else 1,
        auto_pad="SAME_UPPER",
    )
    return net.node("Clip", [flow, "least", "most"], f"{name}:out") if bounded else flow


def _checked(numbers: NDArray[np.float32], shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    fits = len(shape) == numbers.ndim and all(
        wanted in (None, found) for wanted, found in zip(shape, numbers.shape, strict=True)
    )
    if not fits:
        raise UnreadableWeightsError(f"a shape is {numbers.shape} and not {shape}")
    return numbers
