"""Memory and GPU while a render runs, what is learnt of nodes, and when a host is to start over."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gpu_agent.costs import KEPT, CostFile, NodeCosts
from gpu_agent.leak import IDLE_S, RUNS, LeakWatch
from gpu_agent.vitals import NoGauge, NvidiaGauge, Reading, Sampler, Vitals, find_gauge
from gpu_agent.wire import Memory
from schemas.base import ProviderId
from schemas.tasks import NodeTiming
from tests.unit.gpu_agent.fake_host import GRAPH, FakeHost

FX = ProviderId("fx-a")
GIB = 1 << 30


class Library(ModuleType):
    """NVIDIA's library as far as it is used, with one GPU."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        """What it raises."""

    def __init__(self, *, driver: bool = True) -> None:
        super().__init__("pynvml_of_a_test")
        self.driver = driver
        self.silent = False

    def nvmlInit(self) -> None:  # noqa: N802  the library's own name
        """Begin."""
        if not self.driver:
            raise self.NVMLError

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        """Return a device."""
        return f"gpu{index}"

    def nvmlDeviceGetUtilizationRates(self, device: str) -> SimpleNamespace:  # noqa: N802
        """Return how busy it is, in percent."""
        if self.silent:
            raise self.NVMLError
        return SimpleNamespace(gpu=75)

    def nvmlDeviceGetTemperature(self, device: str, sensor: int) -> int:  # noqa: N802
        """Return degrees."""
        return 61

    def nvmlDeviceGetPowerUsage(self, device: str) -> int:  # noqa: N802
        """Return milliwatts."""
        return 142_500


def timing(class_type: str, ms: int, *, cached: bool = False) -> NodeTiming:
    """Return what one node took."""
    return NodeTiming(node_id="1", class_type=class_type, ms=ms, cached=cached)


def memory(vram_free: int, ram_free: int = 8 * GIB) -> Memory:
    """Return what a host with 24 GB on its GPU has left."""
    return Memory(ram_total=32 * GIB, ram_free=ram_free, vram_total=24 * GIB, vram_free=vram_free)


def test_a_gpu_is_read_in_our_units() -> None:
    """A share, degrees, watts."""
    assert NvidiaGauge(Library()).read() == Reading(
        utilisation=0.75, temperature_c=61.0, power_w=142.5
    )


def test_a_gpu_that_does_not_say_is_not_guessed() -> None:
    """Some drivers refuse some of it."""
    library = Library()
    gauge = NvidiaGauge(library)
    library.silent = True

    assert gauge.read() is None


def test_without_library_or_driver_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is only looked for; nobody has to install it."""
    monkeypatch.setitem(sys.modules, "pynvml_of_a_test", Library(driver=False))

    assert isinstance(find_gauge(library="a_library_nobody_has"), NoGauge)
    assert isinstance(find_gauge(library="pynvml_of_a_test"), NoGauge)


def test_with_both_a_gpu_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting is needed."""
    monkeypatch.setitem(sys.modules, "pynvml_of_a_test", Library())

    assert isinstance(find_gauge(library="pynvml_of_a_test"), NvidiaGauge)


def test_samples_become_peak_growth_and_means() -> None:
    """What a render held at most, and did not give back."""
    vitals = Vitals()
    for free, busy in ((20, 0.2), (10, 1.0), (18, 0.6)):
        reading = Reading(utilisation=busy, temperature_c=50 + 10 * busy, power_w=100 * busy)
        vitals.take(memory(free * GIB), reading)

    assert (vitals.vram_peak, vitals.vram_growth) == (14 * GIB, 2 * GIB)
    assert vitals.utilisation == pytest.approx(0.6)
    assert vitals.power_w == pytest.approx(60.0)
    assert vitals.temperature_c == pytest.approx(60.0)


def test_no_samples_are_no_figures() -> None:
    """A host need not say anything."""
    vitals = Vitals()
    vitals.take(None, None)

    assert (vitals.vram_peak, vitals.ram_growth, vitals.utilisation) == (0, 0, None)


async def test_a_host_that_does_not_answer_is_no_sample() -> None:
    """Whoever follows the run notices; measuring must not end it."""
    host = FakeHost()
    host.down = True
    vitals = Vitals()
    await Sampler(host=host.client, gauge=NoGauge()).sample(vitals)

    assert vitals.last is None


def test_costs_are_learnt_for_each_unit_of_work() -> None:
    """A clip of twice the pixels is expected to take twice as long."""
    costs = NodeCosts()
    costs.learn(FX, [timing("ImageBlur", 400)], pixels=2_000_000)

    assert costs.expected(FX, GRAPH, pixels=1_000_000) == {"3": pytest.approx(200.0)}
    assert costs.expected(ProviderId("fx-b"), GRAPH, pixels=1_000_000) == {}


def test_costs_follow_what_is_seen_and_forget_slowly() -> None:
    """One slow run is no reason to expect slow runs."""
    costs = NodeCosts()
    for ms in (100, 200):
        costs.learn(FX, [timing("ImageBlur", ms)], pixels=1_000_000)

    assert costs.expected(FX, GRAPH, pixels=1_000_000)["3"] == pytest.approx(130.0)


def test_a_cached_node_teaches_nothing() -> None:
    """It took no time because nothing was done."""
    costs = NodeCosts()
    costs.learn(FX, [timing("ImageBlur", 0, cached=True)], pixels=1_000_000)

    assert costs.known == {}


def test_costs_are_bounded() -> None:
    """An agent runs for months and providers come and go."""
    costs = NodeCosts()
    for number in range(KEPT + 5):
        costs.learn(FX, [timing(f"Node{number}", 5)], pixels=1)

    assert len(costs.known) == KEPT
    assert "fx-a/Node0" not in costs.known


async def test_costs_are_kept_across_runs(tmp_path: Path) -> None:
    """Else the first hour after each start has no estimates."""
    kept = CostFile(tmp_path / "costs.json")
    costs = NodeCosts()
    costs.learn(FX, [timing("ImageBlur", 100)], pixels=1_000_000)
    await kept.save(costs)

    assert (await kept.load()).known == costs.known


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": "b"}', b"\x00" * 100])
async def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """An estimate is not worth a failed start."""
    (tmp_path / "costs.json").write_bytes(content)
    kept = CostFile(tmp_path / "costs.json")

    assert (await kept.load()).known == {}
    await kept.save(NodeCosts({"a/b": 1.0}))
    assert (await kept.load()).known == {"a/b": 1.0}


def leaked(*used: int, models: str = "m") -> LeakWatch:
    """Return a watch that saw so many gigabytes held after runs, of 24."""
    watch = LeakWatch()
    for each in used:
        watch.ran([models], used=each * GIB, total=24 * GIB)
    return watch


@pytest.mark.parametrize(
    ("used", "leaks"),
    [
        ((4, 5, 6, 7), True),
        ((4, 5, 6), False),
        ((4, 5, 5, 7), False),
        ((7, 7, 7, 7), False),
        ((12, 4, 5, 6, 7), True),
    ],
)
def test_memory_that_rises_with_every_run_is_a_leak(used: tuple[int, ...], leaks: bool) -> None:
    """One large clip is none."""
    assert leaked(*used).leaking is leaks


def test_a_small_rise_is_not_worth_a_load() -> None:
    """Allocators hold a little more and a little less."""
    watch = LeakWatch()
    for run in range(RUNS):
        watch.ran(["m"], used=4 * GIB + run * 1000, total=24 * GIB)

    assert not watch.leaking


def test_other_models_hold_other_memory() -> None:
    """A larger model after a smaller one is no leak."""
    watch = leaked(4, 5, 6)
    watch.ran(["other"], used=9 * GIB, total=24 * GIB)

    assert not watch.leaking


def test_a_leaking_host_starts_over_when_that_costs_least() -> None:
    """Before a load that is due anyway, or while nobody wants it."""
    watch = leaked(4, 5, 6, 7)

    assert not watch.to_recycle(idle_s=0.0, loads_next=False)
    assert watch.to_recycle(idle_s=0.0, loads_next=True)
    assert watch.to_recycle(idle_s=IDLE_S, loads_next=False)


def test_a_host_that_is_almost_full_does_not_wait_for_a_better_moment() -> None:
    """The next run would end in the middle."""
    assert leaked(17, 19, 21, 23).to_recycle(idle_s=0.0, loads_next=False)


def test_a_host_that_started_over_begins_with_a_clean_slate() -> None:
    """It is not told to start over again and again."""
    watch = leaked(4, 5, 6, 7)
    watch.recycled()

    assert not watch.to_recycle(idle_s=IDLE_S, loads_next=True)


def test_a_host_that_does_not_tell_its_memory_is_not_suspected() -> None:
    """Nothing is made up."""
    watch = LeakWatch()
    for _ in range(RUNS):
        watch.ran(["m"], used=0, total=0)

    assert not watch.leaking
