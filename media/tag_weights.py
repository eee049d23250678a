"""Reads the weights of EfficientNet-Lite0 from the file that PyTorch wrote, without PyTorch.

The file is four pickles of the old form - a mark, a version, the machine's byte order, a mapping of
names to descriptions of tensors - then a list of storages and their bytes. A pickle can call
anything, so this reader knows three names and refuses every other. Strides are heeded: the tensors
lie in memory channel last, and read in order they have the right shape and no meaning.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MARK: Final = 0x1950A86A20F9469CFC6C
_VERSION: Final = 1001
_MAX_NUMBERS: Final = 8_000_000
"""In one storage; the whole model has 4.7 million."""
_KINDS: Final[Mapping[str, np.dtype[Any]]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}
_COUNT_BYTES: Final = 8
_FAULTS: Final = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)
"""What a pickle that is none ends with."""

Weights = Mapping[str, NDArray[np.float32]]


class UnreadableWeightsError(ValueError):
    """The file does not hold weights, or holds something else too."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the weights cannot be read: {why}")


@dataclass(frozen=True, slots=True)
class _Storage:
    """Numbers that come later in the file."""

    key: str
    dtype: np.dtype[Any]
    length: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Which numbers of a storage a tensor is; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Reader(pickle.Unpickler):
    """Makes descriptions of tensors, and calls nothing."""

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what one of the three known names stands for here."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _described
        if module == "torch" and name in _KINDS:
            return name
        raise UnreadableWeightsError(f"they name {module}.{name}")

    def persistent_load(self, pid: Any, /) -> _Storage:
        """Return the storage that is meant."""
        match pid:
            case ("storage", str(kind), str(key), str(), int(length), None) if (
                kind in _KINDS and 0 < length <= _MAX_NUMBERS
            ):
                return _Storage(key, _KINDS[kind], length)
        raise UnreadableWeightsError(f"they refer to {pid!r:.80}")


def read_weights(content: bytes) -> Weights:
    """Return every tensor of floating-point numbers by its name.

    Raises:
        UnreadableWeightsError: it is another kind of file, or names what has no place in one.
    """
    file = io.BytesIO(content)
    try:
        mark, version, _, tensors, keys = (_Reader(file).load() for _ in range(5))
    except _FAULTS as fault:
        raise UnreadableWeightsError(str(fault)) from fault
    if (mark, version) != (_MARK, _VERSION) or not isinstance(tensors, OrderedDict):
        raise UnreadableWeightsError(f"mark {mark!r:.40}, version {version!r:.40}")
    described = {name: each for name, each in tensors.items() if isinstance(each, _Tensor)}
    storages = {each.storage.key: each.storage for each in described.values()}
    if not isinstance(keys, list) or set(keys) != set(storages):
        raise UnreadableWeightsError("their list of storages does not fit")
    numbers = {key: _numbers(file, storages[key]) for key in keys}
    return {
        name: _laid_out(each, numbers[each.storage.key])
        for name, each in described.items()
        if each.storage.dtype == np.float32
    }


def _described(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _numbers(file: io.BytesIO, storage: _Storage) -> NDArray[Any]:
    length = int.from_bytes(file.read(_COUNT_BYTES), "little")
    content = file.read(storage.length * storage.dtype.itemsize)
    if length != storage.length or len(content) != storage.length * storage.dtype.itemsize:
        raise UnreadableWeightsError(f"a storage of {storage.length} numbers has {length}")
    return np.frombuffer(content, storage.dtype)


def _laid_out(tensor: _Tensor, numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Return a tensor in the order its shape says."""
    last = tensor.offset + sum(
        (side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if min(tensor.offset, *tensor.shape, *tensor.strides) < 0 or last >= len(numbers):
        raise UnreadableWeightsError(f"a tensor of {tensor.shape} lies outside its storage")
    size = numbers.itemsize
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :],
        tensor.shape,
        tuple(stride * size for stride in tensor.strides),
        writeable=False,
    )
    return np.ascontiguousarray(view, dtype=np.float32)
