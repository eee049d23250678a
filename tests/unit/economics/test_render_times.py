"""What renders of any size take: learnt from nodes, told apart from what must not be learnt."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from economics.render_times import LEAST_SAMPLES, RenderTimes
from schemas.base import ProviderId
from schemas.routing import RenderTime
from schemas.telemetry import TaskMeasured
from tests.builders import NOON
from tests.unit.economics.renders import GLOW, LAWS, SAMPLED, Renders, provider
from tests.unit.economics.worlds import task

A = provider("a", ("LoadVideo", "KSampler"))
GIGAPIXELS = (0.02, 0.1, 0.3, 0.05)


def measured(gigapixels: float, *, steps: int = 1, **changes: object) -> TaskMeasured:
    """Return a render of A: 0.1 s, 3 s a gigapixel, and a second for each gigapixel and step."""
    sampler = 100 + round(1000 * gigapixels * steps)
    loader = max(1, round(3000 * gigapixels))
    known: dict[str, object] = {
        "duration_ms": 50 + sampler + loader,
        "input_frames": 100,
        "pixels": round(gigapixels * 1e9 / 100),
        "steps": steps,
        "nodes": {"LoadVideo": loader, "KSampler": sampler},
        "node_runs": {"LoadVideo": 1, "KSampler": 1},
        "gpu_type": "A10G",
    }
    return replace(task("a", 0, NOON), **(known | changes))


def learnt(*samples: TaskMeasured) -> RenderTimes:
    """Return what is known after these renders."""
    times = RenderTimes()
    for sample in samples:
        times.update(sample)
    return times


def various(**changes: object) -> list[TaskMeasured]:
    """Return renders of several sizes and steps."""
    return [
        measured(size, steps=steps, **changes) for steps in (1, 20, 8, 40) for size in GIGAPIXELS
    ]


def ms(found: RenderTime, gigapixels: float, *, steps: int = 1) -> float:
    """Return what is predicted."""
    each = found.ms_per_gigapixel + found.ms_per_gigapixel_step * steps
    return found.fixed_ms + each * gigapixels


@pytest.mark.parametrize("seed", range(3))
def test_clips_of_all_sizes_are_predicted_far_better_than_by_their_frames(seed: int) -> None:
    """Timeouts, the queue's length in seconds and the number of hosts rest on it."""
    records = (provider("glow", GLOW), provider("sampled", SAMPLED))
    by_nodes, by_frames = (Renders(*records, seed=seed, by_nodes=which) for which in (True, False))
    for each in (by_nodes, by_frames):
        each.run(200)

    assert by_nodes.median_error <= 0.15
    assert by_frames.median_error > 0.5


def test_a_provider_nobody_has_tried_is_predicted_from_the_nodes_of_others() -> None:
    """A new look, or a graph that was edited: the classes are the old ones."""
    house = Renders(provider("glow", GLOW), provider("sampled", SAMPLED), seed=1)
    house.run(100)
    house.records.append(provider("new", ("LoadVideo", *["ImageBlur"] * 3, "SaveVideo")))
    house.publish()
    found = house.route(ProviderId("new")).render_time
    nodes = 0.1 * (LAWS["LoadVideo"].ms_per_megapixel + 6.0) + 3 * 0.1 * 14.0

    assert ms(found, 0.1) == pytest.approx(1000 * nodes + 195 + 350 + 200, rel=0.2)


def test_the_parts_of_the_work_are_told_apart() -> None:
    """Twice the steps is not twice the time, nor is twice the clip."""
    found = learnt(*various()).read(A)

    for size, steps in ((0.2, 30), (0.2, 1), (0.01, 40)):
        truth = measured(size, steps=steps).duration_ms
        assert ms(found, size, steps=steps) == pytest.approx(truth, rel=0.03)


def test_after_one_size_only_twice_the_work_is_thought_to_take_twice_the_time() -> None:
    """What the samples do not tell apart; one step more or less is guessed in the same way."""
    found = learnt(*(measured(0.1, steps=20) for _ in range(20))).read(A)

    once = ms(found, 0.1, steps=20)
    assert once == pytest.approx(measured(0.1, steps=20).duration_ms, rel=0.03)
    assert ms(found, 0.2, steps=20) == pytest.approx(2 * once, rel=0.1)


@pytest.mark.parametrize(
    "useless",
    [
        {"cached": True},
        {"cold_start": True},
        {"succeeded": False},
        {"input_frames": 0},
        {"pixels": 0},
        {"node_runs": {}},
    ],
    ids=str,
)
def test_what_says_nothing_teaches_nothing(useless: dict[str, object]) -> None:
    """A host that answers from its cache would look a hundred times as fast as it is."""
    wrong = [measured(0.1, duration_ms=5, nodes={"KSampler": 1}, **useless) for _ in range(30)]

    assert learnt(*various(), *wrong).read(A) == learnt(*various()).read(A)


@pytest.mark.parametrize("factor", [50.0, 0.01])
def test_one_render_that_is_far_off_hardly_moves_anything(factor: float) -> None:
    """A host that hung for minutes, and a socket that heard half of the run."""
    odd = measured(0.1, steps=20)
    nodes = {name: round(took * factor) for name, took in odd.nodes.items()}
    odd = replace(odd, nodes=nodes, duration_ms=sum(nodes.values()) + 50)
    found = learnt(*various(), *various(), odd).read(A)

    truth = measured(0.1, steps=20).duration_ms
    assert ms(found, 0.1, steps=20) == pytest.approx(truth, rel=0.25)


def test_a_host_that_becomes_three_times_as_slow_is_followed() -> None:
    """What is far off may be the new truth."""
    slow = [
        replace(
            sample,
            duration_ms=3 * sample.duration_ms,
            nodes={name: 3 * took for name, took in sample.nodes.items()},
        )
        for sample in various() * 8
    ]
    found = learnt(*various(), *slow).read(A)

    truth = 3 * measured(0.1, steps=20).duration_ms
    assert ms(found, 0.1, steps=20) == pytest.approx(truth, rel=0.1)


def test_a_node_that_every_host_answers_from_its_cache_takes_nothing() -> None:
    """As loaders do where the model is loaded; without that no model's graph would be known."""
    warm = [
        replace(sample, nodes=sample.nodes | {"CheckpointLoaderSimple": 0}) for sample in various()
    ]
    loading = provider("a", ("CheckpointLoaderSimple", "LoadVideo", "KSampler"))

    assert learnt(*warm).read(loading) == learnt(*various()).read(A)


def test_a_graph_with_a_node_nobody_has_seen_is_not_predicted() -> None:
    """It may take longer than all the others together."""
    assert learnt(*various()).read(provider("a", (*SAMPLED, "Unheard"))) == RenderTime()


def test_two_nodes_of_a_class_take_what_two_take() -> None:
    """Telemetry adds a class up; that it ran twice must not make it look twice as slow."""
    twice = [replace(sample, node_runs={"LoadVideo": 1, "KSampler": 2}) for sample in various()]

    new = provider("new", ("LoadVideo", "KSampler"))
    pair = provider("new", ("LoadVideo", "KSampler", "KSampler"))

    truth = ms(learnt(*various()).read(new), 0.2, steps=40)
    assert ms(learnt(*twice).read(new), 0.2, steps=40) < 0.7 * truth
    assert ms(learnt(*twice).read(pair), 0.2, steps=40) == pytest.approx(truth, rel=0.03)


def test_where_hosts_do_the_work_of_a_node_in_another_the_whole_is_right() -> None:
    """Hosts that stream do so: short clips are blurred by the blur, long ones while saving."""
    streamed = []
    for sample in various() * 2:
        total = sample.duration_ms - 50
        late = sample.pixels * 100 > 60_000_000
        nodes = {"LoadVideo": 1 if late else total, "KSampler": total if late else 1}
        streamed.append(replace(sample, nodes=nodes))
    found = learnt(*streamed).read(A)

    for size, steps in ((0.2, 30), (0.03, 8)):
        truth = measured(size, steps=steps).duration_ms
        assert ms(found, size, steps=steps) == pytest.approx(truth, rel=0.03)


def test_a_few_renders_are_no_history_and_another_kind_of_gpu_is_none_either() -> None:
    """A CPU's seconds say nothing about an A10G's."""
    few = various()[: LEAST_SAMPLES - 1]

    assert learnt(*few).read(A) == RenderTime()
    assert learnt(*various(gpu_type="cpu")).read(provider("b", ("LoadVideo",))) == RenderTime()
    assert learnt(*various(gpu_type="cpu")).read(A).samples == len(various())


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Node classes are named by whoever writes graphs."""
    monkeypatch.setattr("economics.render_times.KEPT", 4)
    others = [measured(0.1, nodes={f"Class{n}": 10}, node_runs={f"Class{n}": 1}) for n in range(9)]
    times = learnt(*various(), *others)

    assert len(times._whole) == len(times._nodes) == 4
