"""A record that cannot work is refused with every fault, before a job pays for finding out."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from actors.provider_registry import core, rules
from actors.provider_registry.errors import InvalidRecordError
from actors.provider_registry.shipped import shipped
from schemas.base import ProviderId
from schemas.routing import CostModel, NodeMap, ParameterRule, ProviderRecord

SHIPPED = {record.provider_id: record for record in shipped()}
WARM = SHIPPED[ProviderId("fx-warm-grade-v1")]


def changed(**changes: object) -> ProviderRecord:
    """Return the warm grade with some fields replaced."""
    return msgspec.structs.replace(WARM, **changes)


def with_node(node_id: str, **inputs: object) -> ProviderRecord:
    """Return the warm grade with some inputs of a node replaced."""
    node = WARM.graph[node_id]
    known = node["inputs"]
    assert isinstance(known, dict)
    return changed(graph={**WARM.graph, node_id: {**node, "inputs": {**known, **inputs}}})


def with_rule(**fields: object) -> ProviderRecord:
    """Return the warm grade with another rule for its strength."""
    known = {"node": "4", "input": "blend_factor", "type": "float", "minimum": 0.0, "maximum": 1.0}
    rule = ParameterRule(**(known | fields))  # type: ignore[arg-type]
    return changed(parameter_rules={**WARM.parameter_rules, "strength": rule})


def nested(depth: int) -> object:
    """Return objects within objects."""
    value: object = 1
    for _ in range(depth):
        value = {"__value__": value}
    return value


BROKEN: list[tuple[str, Callable[[], ProviderRecord], str]] = [
    ("id", lambda: changed(provider_id="fx.warm"), "provider_id 'fx.warm' is not a subject token"),
    ("lane", lambda: changed(lane="fast lane"), "lane 'fast lane' is not a subject token"),
    ("effects", lambda: changed(capabilities=()), "capabilities is empty"),
    ("status", lambda: changed(status="asleep"), "status 'asleep' is none of"),
    ("empty", lambda: changed(graph={}), "graph is empty"),
    ("link", lambda: with_node("4", image2=["33", 0]), "links image2 to the absent node '33'"),
    ("slot", lambda: with_node("4", image2=["3", -1]), "to the impossible slot -1"),
    ("loop", lambda: with_node("4", image2=["5", 0]), "depends on itself"),
    (
        "no class",
        lambda: changed(graph={**WARM.graph, "9": {"inputs": {}}}),
        "node 9 has no class_type",
    ),
    (
        "saver",
        lambda: changed(node_mapping=NodeMap(video_input_node="1", output_node="90")),
        "output node 90 is no SaveVideo",
    ),
    (
        "source",
        lambda: changed(node_mapping=NodeMap(video_input_node="77", output_node="91")),
        "node_mapping.video_input_node points at the absent node '77'",
    ),
    ("unrelated", lambda: with_node("90", images=["3", 0], fps=25.0, audio=None), "not depend on"),
    ("rule node", lambda: with_rule(node="44"), "strength: points at the absent node '44'"),
    ("rule input", lambda: with_rule(input="blend_facter"), "has no input 'blend_facter'"),
    ("rule link", lambda: with_rule(input="image1"), "input 'image1' of node 4 is a link"),
    ("rule type", lambda: with_rule(type="double"), "type 'double' is none of"),
    ("unbounded", lambda: with_rule(maximum=None), "strength: is a number without bounds"),
    ("crossed", lambda: with_rule(minimum=2.0), "bounds 2 and 1 are crossed"),
    ("no choices", lambda: with_rule(type="choice"), "strength: has no choices"),
    (
        "default",
        lambda: changed(default_parameters={"strength": 1.5}),
        "default of strength: 1.5 is above 1",
    ),
    (
        "stray default",
        lambda: changed(default_parameters={"power": 1}),
        "default of power: there is no such parameter",
    ),
    (
        "reserved default",
        lambda: changed(default_parameters={"input_width": 640}),
        "default of input_width: the agent fills it",
    ),
    ("class list", lambda: changed(node_dependencies=("LoadVideo",)), "class SaveVideo is used"),
    (
        "model",
        lambda: changed(required_models=("svd.safetensors",)),
        "required model 'svd.safetensors' stands nowhere",
    ),
    (
        "cost",
        lambda: changed(
            cost_model=CostModel(
                base_cost_per_frame=-1.0, gpu_type_required="cpu", avg_gpu_seconds_per_frame=0.1
            )
        ),
        "cost_model.base_cost_per_frame is -1.0",
    ),
    ("url", lambda: with_node("4", blend_mode="http://x/y"), "of node 4 is a URL"),
    ("path", lambda: with_node("4", blend_mode="/etc/passwd"), "of node 4 is an absolute path"),
    ("upwards", lambda: with_node("4", blend_mode="a/../b"), "of node 4 leads out of its folder"),
    ("prefix", lambda: with_node("91", filename_prefix="/srv/x"), "of node 91 leads elsewhere"),
    ("nan", lambda: with_node("4", blend_factor=float("nan")), "of node 4 is nan"),
    ("huge", lambda: with_node("4", blend_factor=10**40), "of node 4 is a huge number"),
    ("long", lambda: with_node("4", blend_mode="x" * 100_000), "has 100000 characters"),
    (
        "deep",
        lambda: with_node("4", blend_mode=nested(20)),
        "of node 4 is nested too deeply",
    ),
    ("rule prefix", lambda: with_rule(node="91", input="filename_prefix"), "set by a task"),
    (
        "rule clip",
        lambda: with_rule(node="1", input="file", type="str"),
        "may not be set by a task",
    ),
    ("rule infinite", lambda: with_rule(maximum=float("inf")), "are no numbers"),
    ("rule charset", lambda: with_rule(charset="utf-8"), "charset 'utf-8' is none of"),
    (
        "rule models",
        lambda: with_rule(type="choice", choices=("a.safetensors", "b.safetensors")),
        "chooses between model files",
    ),
    ("long id", lambda: changed(provider_id="x" * 120), "is not a subject token"),
    ("no name", lambda: changed(display_name=" "), "display_name has 1 characters"),
    ("look", lambda: changed(target_look={"warmth": float("nan")}), "target_look.warmth is nan"),
]


@pytest.mark.parametrize(
    ("make", "wanted"),
    [(make, wanted) for _, make, wanted in BROKEN],
    ids=[n for n, _, _ in BROKEN],
)
def test_a_broken_record_is_refused_with_the_reason(
    make: Callable[[], ProviderRecord], wanted: str
) -> None:
    """A host would ignore several of these, and the effect would just not happen."""
    assert any(wanted in fault for fault in core.faults(make()))


def test_all_faults_are_listed_at_once() -> None:
    """An admin should not have to try six times."""
    broken = changed(provider_id="fx warm", capabilities=(), default_parameters={"strength": 9})

    with pytest.raises(InvalidRecordError) as refused:
        core.check(broken)
    assert len(refused.value.faults) == 3


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("int", 3, True),
        ("int", 3.0, True),
        ("int", 3.5, False),
        ("int", True, False),
        ("int", "3", False),
        ("float", 3, True),
        ("float", float("inf"), False),
        ("float", 11.0, False),
        ("float", -0.1, False),
        ("float", None, False),
        ("str", "warm", True),
        ("str", 5, False),
        ("choice", "open", True),
        ("choice", "shut", False),
        ("bool", True, True),
        ("bool", 1, False),
        ("float", 2**70, False),
        ("str", "x" * 200, True),
        ("str", "x" * 100_000, False),
    ],
)
def test_a_value_fits_its_rule_or_not(kind: str, value: object, fits: bool) -> None:
    """Hosts coerce what they get, so a wrong type would be rendered as something else."""
    rule = ParameterRule(
        node="4", input="x", type=kind, minimum=0.0, maximum=10.0, choices=("open",)
    )

    assert (rules.misfit(rule, value) == "") is fits  # type: ignore[arg-type]


def test_revision_and_health_do_not_change_the_digest() -> None:
    """Else every health check would look like a new catalog."""
    assert core.digest(changed(revision=7)) == core.digest(WARM)
    assert core.digest(changed(display_name="Warmer")) != core.digest(WARM)


@pytest.mark.parametrize("text", ["naïve 夜 🎬", "{{ 7*7 }} ${PATH} %date%", 'it\'s "quoted"'])
def test_unicode_and_template_syntax_are_nothing_special(text: str) -> None:
    """Values are data; nothing evaluates them."""
    assert core.faults(with_node("4", label=text)) == ()


def test_a_field_that_is_added_one_day_changes_no_digest() -> None:
    """Else an upgrade would ship every provider again."""

    class Later(ProviderRecord, frozen=True, kw_only=True):
        """The record of a year from now."""

        tariff: dict[str, float] = {}  # noqa: RUF012  msgspec copies it
        tier: int = 1

    later = msgspec.json.decode(msgspec.json.encode(WARM), type=Later)

    assert core.digest(later) == core.digest(WARM)
    assert core.digest(msgspec.structs.replace(later, tier=2)) != core.digest(WARM)


def test_what_a_host_must_be_able_to_run_has_a_digest_of_its_own() -> None:
    """A proof is about the graph: a new price or name does not undo it, another model does."""
    other = changed(display_name="Warmer", provider_id="fx-other-v1", status="draft")

    assert core.graph_digest(other) == core.graph_digest(WARM)
    assert core.graph_digest(with_node("4", blend_factor=0.1)) != core.graph_digest(WARM)
    assert core.graph_digest(changed(required_models=("a.pt",))) != core.graph_digest(WARM)
