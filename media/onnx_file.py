"""Writes the few parts of the ONNX format that a small network needs, byte by byte.

ONNX is a protocol buffer: every field is its number and kind, then its bytes. The numbers below are
those of ``onnx.proto``, which are fixed for good. Writing them takes less than the package would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

_IR_VERSION: Final = 7
_OPSET: Final = 13
_FLOAT: Final = 1
_ATTRIBUTE_KINDS: Final = {int: 2, str: 3, tuple: 7}
_ATTRIBUTE_FIELDS: Final = {int: 3, str: 4, tuple: 8}

Attribute = int | str | tuple[int, ...]
Shape = Sequence[int | str]
"""A side given by a name is whatever comes."""


@dataclass(slots=True)
class Network:
    """A network as it is put together, operation by operation."""

    nodes: list[bytes] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=list)

    def tensor(self, name: str, numbers: NDArray[np.float32]) -> str:
        """Add constant numbers and return their name."""
        shape = b"".join(_number(1, side) for side in numbers.shape)
        raw = np.ascontiguousarray(numbers, "<f4").tobytes()
        self.tensors.append(shape + _number(2, _FLOAT) + _text(8, name) + _block(9, raw))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> str:
        """Add an operation and return the name of what comes out."""
        self.nodes.append(
            b"".join(_text(1, name) for name in inputs)
            + _text(2, output)
            + _text(3, output)
            + _text(4, kind)
            + b"".join(_block(5, _attribute(name, each)) for name, each in attributes.items())
        )
        return output

    def encode(self, *, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
        """Return the network as the bytes of an ONNX file."""
        graph = (
            b"".join(_block(1, node) for node in self.nodes)
            + _text(2, "network")
            + b"".join(_block(5, tensor) for tensor in self.tensors)
            + b"".join(_block(11, _value(name, shape)) for name, shape in inputs.items())
            + b"".join(_block(12, _value(name, shape)) for name, shape in outputs.items())
        )
        return _number(1, _IR_VERSION) + _block(7, graph) + _block(8, _number(2, _OPSET))


def _attribute(name: str, value: Attribute) -> bytes:
    kind = type(value)
    number = _ATTRIBUTE_FIELDS[kind]
    if isinstance(value, str):
        content = _text(number, value)
    elif isinstance(value, int):
        content = _number(number, value)
    else:
        content = b"".join(_number(number, each) for each in value)
    return _text(1, name) + content + _number(20, _ATTRIBUTE_KINDS[kind])


def _value(name: str, shape: Shape) -> bytes:
    sides = b"".join(
        _block(1, _text(2, side) if isinstance(side, str) else _number(1, side)) for side in shape
    )
    return _text(1, name) + _block(2, _block(1, _number(1, _FLOAT) + _block(2, sides)))


def _text(number: int, text: str) -> bytes:
    return _block(number, text.encode())


def _block(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Return a number that is not negative, seven bits a byte, the lowest first.

    >>> _varint(300).hex()
    'ac02'
    """
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
