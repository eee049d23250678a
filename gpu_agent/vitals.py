"""What a render does to its host's memory and GPU, sampled while it runs.

The host tells its memory. Utilisation, temperature and power come from a ``Gauge`` beside it, where
there is one: NVIDIA's management library through ``nvidia-ml-py``, which is only looked for.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from types import ModuleType
from typing import Final, Protocol

import anyio
from anyio.to_thread import run_sync
from msgspec import Struct

from gpu_agent.comfy import ComfyHost
from gpu_agent.errors import RenderFailedError
from gpu_agent.wire import Memory

SAMPLE_S: Final = 2.0
_LIBRARY: Final = "pynvml"


class Reading(Struct, frozen=True, kw_only=True):
    """What a GPU does at one moment."""

    utilisation: float
    """From 0 to 1."""
    temperature_c: float
    power_w: float


class Gauge(Protocol):
    """Reads a GPU."""

    def read(self) -> Reading | None:
        """Return what it does now, ``None`` when it does not say. May block for milliseconds."""
        ...


class NoGauge:
    """There is no GPU, or nobody who could read it."""

    def read(self) -> Reading | None:
        """Return nothing."""
        return None


class NvidiaGauge:
    """One GPU, read through NVIDIA's management library."""

    def __init__(self, library: ModuleType, *, index: int = 0) -> None:
        self._library = library
        library.nvmlInit()
        self._device = library.nvmlDeviceGetHandleByIndex(index)

    def read(self) -> Reading | None:
        """Return what it does now; ``None`` when the driver refuses to say."""
        library = self._library
        try:
            rates = library.nvmlDeviceGetUtilizationRates(self._device)
            degrees = library.nvmlDeviceGetTemperature(self._device, library.NVML_TEMPERATURE_GPU)
            milliwatts = library.nvmlDeviceGetPowerUsage(self._device)
        except library.NVMLError:
            return None
        return Reading(
            utilisation=rates.gpu / 100,
            temperature_c=float(degrees),
            power_w=milliwatts / 1000,
        )


def find_gauge(*, library: str = _LIBRARY) -> Gauge:
    """Return a reader of this machine's first GPU, or one that says nothing."""
    try:
        found = importlib.import_module(library)
    except ImportError:
        return NoGauge()
    try:
        return NvidiaGauge(found)
    except found.NVMLError:
        return NoGauge()  # the library is here, the driver is not


class Vitals:
    """Sums up the samples of one render; ``take`` and plain fields."""

    def __init__(self) -> None:
        self.vram_peak = 0
        self.ram_peak = 0
        self.first: Memory | None = None
        self.last: Memory | None = None
        self.temperature_c: float | None = None
        self._utilisation: list[float] = []
        self._power: list[float] = []

    def take(self, memory: Memory | None, reading: Reading | None) -> None:
        """Take one sample in."""
        if memory is not None:
            self.first = self.first or memory
            self.last = memory
            self.vram_peak = max(self.vram_peak, memory.vram_used)
            self.ram_peak = max(self.ram_peak, memory.ram_used)
        if reading is not None:
            self._utilisation.append(reading.utilisation)
            self._power.append(reading.power_w)
            self.temperature_c = max(self.temperature_c or 0.0, reading.temperature_c)

    @property
    def vram_growth(self) -> int:
        """What the GPU holds more than before."""
        if self.first is None or self.last is None:
            return 0
        return max(self.last.vram_used - self.first.vram_used, 0)

    @property
    def ram_growth(self) -> int:
        """What the host holds more than before."""
        if self.first is None or self.last is None:
            return 0
        return max(self.last.ram_used - self.first.ram_used, 0)

    @property
    def utilisation(self) -> float | None:
        """The mean."""
        return _mean(self._utilisation)

    @property
    def power_w(self) -> float | None:
        """The mean."""
        return _mean(self._power)


class Sampler:
    """Takes samples of one host."""

    def __init__(self, *, host: ComfyHost, gauge: Gauge, every_s: float = SAMPLE_S) -> None:
        self._host = host
        self._gauge = gauge
        self._every_s = every_s

    async def keep_on(self, vitals: Vitals) -> None:
        """Sample until cancelled."""
        while True:
            await anyio.sleep(self._every_s)
            await self.sample(vitals)

    async def sample(self, vitals: Vitals) -> None:
        """Take one sample; a host that does not answer is noticed by whoever follows the run."""
        memory: Memory | None = None
        with anyio.move_on_after(SAMPLE_S), suppress(RenderFailedError):
            memory = await self._host.memory()
        vitals.take(memory, await run_sync(self._gauge.read))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
