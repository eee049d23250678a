"""Normal noise as torch draws it on a CPU: the Mersenne Twister, and Box-Muller in sixteens."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_agent.renderer.nodes.values import Batch, Pixels

# torch turns sixteen uniform numbers at a time into normal ones: eight radii, eight angles
_CHUNK: Final = 16
_HALF: Final = 8
_SEED_BITS: Final = 0xFFFFFFFF
_MANTISSA: Final = 1 << 24
_SKIPPED_AT_ONCE: Final = 1 << 20


class Noise:
    """The numbers for a batch, drawn as if for all of it at once; frames may be asked in any order.

    Frames asked for in their order cost one draw each, any other begins anew.
    """

    def __init__(self, seed: int, batch: Batch) -> None:
        self._seed = seed & _SEED_BITS
        self._batch = batch
        self._shape = batch.shape
        self._size = int(np.prod(batch.shape))
        self._dice = self._begun()
        self._at = 0
        self._rest: Pixels = np.empty(0, np.float32)

    def frame(self, index: int) -> Pixels:
        """Return the noise of one frame; the caller may write to it."""
        start, end = index * self._size, (index + 1) * self._size
        if start < self._at - len(self._rest):
            self._dice, self._at = self._begun(), 0
            self._rest = np.empty(0, np.float32)
        self._skip(start)
        missing = -(-(end - self._at) // _CHUNK) * _CHUNK
        fresh = self._normal(missing)
        known = np.concatenate([self._rest, fresh])
        self._at += missing
        first = start - (self._at - len(known))
        drawn = known[first : first + self._size]
        self._rest = known[first + self._size :].copy()
        if end % _CHUNK and not self._batch.length.has(index + 1):
            drawn = self._ended(drawn, end)
        return drawn.reshape(self._shape)

    def _skip(self, start: int) -> None:
        """Let go of what comes before the chunk in which ``start`` lies."""
        begin = start // _CHUNK * _CHUNK
        while self._at < begin:
            number = min(begin - self._at, _SKIPPED_AT_ONCE)
            self._uniform(number)
            self._at += number
            self._rest = self._rest[:0]

    def _ended(self, drawn: Pixels, end: int) -> Pixels:
        """Redo the last sixteen of the whole batch with numbers drawn after all others."""
        if end < _CHUNK:
            return drawn
        dice = self._begun()
        left = end
        while left:
            number = min(left, _SKIPPED_AT_ONCE)
            self._uniform(number, dice)
            left -= number
        last = _paired(self._uniform(_CHUNK, dice))
        out = drawn.copy()
        count = min(_CHUNK, len(out))
        out[-count:] = last[-count:]
        return out

    def _begun(self) -> np.random.RandomState:
        return np.random.RandomState(self._seed)

    def _uniform(self, number: int, dice: np.random.RandomState | None = None) -> Pixels:
        raw = (dice or self._dice).randint(0, 1 << 32, number, np.uint32)
        raw &= np.uint32(_MANTISSA - 1)
        return raw.astype(np.float32) * np.float32(1 / _MANTISSA)

    def _normal(self, number: int) -> Pixels:
        return _paired(self._uniform(number))


def _paired(uniform: Pixels) -> NDArray[np.float32]:
    chunks = uniform.reshape(-1, _CHUNK)
    radius = np.sqrt(np.float32(-2) * np.log(1 - chunks[:, :_HALF]))
    angle = np.float32(2 * np.pi) * chunks[:, _HALF:]
    chunks[:, :_HALF] = radius * np.cos(angle)
    chunks[:, _HALF:] = radius * np.sin(angle)
    return uniform
