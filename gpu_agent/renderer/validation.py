"""Whether a graph can run. The refusals carry the types that real servers use."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from msgspec import Struct

from gpu_agent.renderer import older
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.graph import Graph, Json, Node
from gpu_agent.renderer.refusal import Refusal, check_classes

_LONG_LIST: Final = 20
_DYNAMIC: Final = "COMFY_DYNAMICCOMBO_V3"
_LOADERS: Final[Mapping[str, tuple[str, str]]] = {
    "LoadVideo": ("file", "video"),
    "LoadImage": ("image", "image"),
}


class Validated(Struct, frozen=True):
    """A graph that can run, at least in part."""

    graph: Graph
    outputs: tuple[str, ...]
    node_errors: dict[str, Json]


def validate(
    prompt: Mapping[str, Json],
    catalog: Catalog,
    folders: Folders,
    *,
    limit_nodes: int,
    unchecked_combos: bool = False,
    as_older: bool = False,
) -> Validated:
    """Check a graph and convert its values.

    An invalid output is dropped as long as another one is valid; its faults are told.

    Raises:
        Refusal: nothing of it can run.
    """
    if len(prompt) > limit_nodes:
        raise Refusal("prompt_too_large", f"More than {limit_nodes} nodes")
    check_classes(prompt, catalog, as_older=as_older)
    outputs = tuple(i for i, node in prompt.items() if catalog.is_output(node["class_type"]))
    if not outputs:
        raise Refusal("prompt_no_outputs", "Prompt has no outputs")
    check = _Check(prompt, catalog, folders, unchecked_combos=unchecked_combos)
    good = tuple(output for output in outputs if check.output(output))
    node_errors = check.told(tuple(output for output in outputs if output not in good))
    if not good:
        refusal = Refusal(
            "prompt_outputs_failed_validation",
            "Prompt outputs failed validation",
            check.summary(outputs, as_older=as_older),
        )
        refusal.node_errors = node_errors
        raise refusal
    graph = {i: Node(prompt[i]["class_type"], check.inputs[i]) for i in prompt if i in check.valid}
    return Validated(graph=graph, outputs=good, node_errors=node_errors)


class _Check:
    """Walks from the outputs upwards; each node is looked at once."""

    def __init__(
        self,
        prompt: Mapping[str, Json],
        catalog: Catalog,
        folders: Folders,
        *,
        unchecked_combos: bool,
    ) -> None:
        self._prompt = prompt
        self._catalog = catalog
        self._folders = folders
        self._unchecked_combos = unchecked_combos
        self._walk: list[str] = []
        self._done: dict[str, bool] = {}
        self._errors: dict[str, list[Json]] = {}
        self.inputs: dict[str, dict[str, Json]] = {}

    @property
    def valid(self) -> set[str]:
        """Return the nodes without a fault in them or above them."""
        return {node_id for node_id, good in self._done.items() if good}

    def output(self, node_id: str) -> bool:
        """Say whether an output node can run."""
        try:
            return self._node(node_id)
        except (KeyError, IndexError, TypeError) as problem:
            self._fault(
                node_id,
                "exception_during_validation",
                "Exception when validating node",
                str(problem),
                exception_type=type(problem).__name__,
                traceback=[],
            )
            self._done[node_id] = False
            return False
        finally:
            self._walk.clear()

    def told(self, bad_outputs: tuple[str, ...]) -> dict[str, Json]:
        """Return ``node_errors``: the faults of each node, and the outputs that miss it."""
        return {
            node_id: {
                "errors": errors,
                "dependent_outputs": [o for o in bad_outputs if self._needs(o, node_id)],
                "class_type": self._prompt[node_id]["class_type"],
            }
            for node_id, errors in self._errors.items()
        }

    def summary(self, outputs: tuple[str, ...], *, as_older: bool) -> str:
        """Return the faults of the output nodes themselves, as text."""
        if as_older:
            return older.summary([e for o in outputs for e in self._errors.get(o, [])])
        lines = []
        for node_id in outputs:
            errors = self._errors.get(node_id, [])
            if errors:
                lines.append(f"* {self._prompt[node_id]['class_type']} {node_id}:")
                lines += [f"  - {error['message']}: {error['details']}" for error in errors]
        return "\n".join(lines)

    def _needs(self, output: str, node_id: str) -> bool:
        seen: set[str] = set()
        waiting = [output]
        while waiting:
            current = waiting.pop()
            if current == node_id:
                return True
            node = self._prompt.get(current)
            if current in seen or node is None:
                continue
            seen.add(current)
            values = node.get("inputs", {}).values()
            waiting += [str(v[0]) for v in values if isinstance(v, list) and len(v) == 2]
        return False

    def _node(self, node_id: str) -> bool:
        if node_id in self._done:
            return self._done[node_id]
        if node_id in self._walk:
            self._cycle(self._walk[self._walk.index(node_id) :])
            return False
        self._walk.append(node_id)
        node = self._prompt[node_id]
        given: Mapping[str, Json] = node["inputs"]
        self.inputs[node_id] = dict(given)
        good = True
        for kind, wanted in self._catalog.inputs(node["class_type"]).items():
            for name, config in wanted.items():
                if name in given:
                    good = self._input(node_id, name, config) and good
                elif kind == "required":
                    self._missing(node_id, name)
                    good = False
        good = good and self._files(node_id)
        self._walk.pop()
        # a member of a cycle was marked by whoever closed it
        self._done[node_id] = good and node_id not in self._errors
        return self._done[node_id]

    def _input(self, node_id: str, name: str, config: list[Any]) -> bool:
        value = self.inputs[node_id][name]
        if isinstance(value, list):
            if len(value) != 2:
                return self._fault(
                    node_id,
                    "bad_linked_input",
                    "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                    name,
                    input_name=name,
                    input_config=config,
                    received_value=value,
                )
            return self._link(node_id, name, config, value)
        if isinstance(value, dict) and "__value__" in value:
            value = self.inputs[node_id][name] = value["__value__"]
            if isinstance(value, list):
                # none of the nodes takes one, and two elements would be taken for a link
                return self._fault(
                    node_id,
                    "invalid_input_type",
                    f"Failed to convert an input value to a {config[0]} value",
                    name,
                    input_name=name,
                    input_config=config,
                    received_value=value,
                )
        if config[0] == _DYNAMIC and self._unchecked_combos:
            self._drop_unknown(node_id, name, config)
            return True
        if config[0] == _DYNAMIC:
            return self._dynamic(node_id, name, config)
        return self._literal(node_id, name, config, value)

    def _link(self, node_id: str, name: str, config: list[Any], link: list[Any]) -> bool:
        parent, slot = link
        received = self._catalog.outputs(self._prompt[parent]["class_type"])[slot]
        wanted = config[0]
        if wanted not in ("*", received) and not (isinstance(wanted, list) and received == "COMBO"):
            return self._fault(
                node_id,
                "return_type_mismatch",
                "Return type mismatch between linked nodes",
                f"{name}, received_type({received}) mismatch input_type({wanted})",
                input_name=name,
                input_config=config,
                received_type=received,
                linked_node=link,
            )
        depth = len(self._walk)
        try:
            return self._node(parent)
        except (KeyError, IndexError, TypeError) as problem:
            self._fault(
                parent,
                "exception_during_inner_validation",
                "Exception when validating inner node",
                str(problem),
                input_name=name,
                input_config=config,
                exception_message=str(problem),
                exception_type=type(problem).__name__,
                traceback=[],
                linked_node=link,
            )
            del self._walk[depth:]
            self._done[parent] = False
            return False

    def _literal(self, node_id: str, name: str, config: list[Any], value: Json) -> bool:
        kind, options = config[0], config[1] if len(config) > 1 else {}
        if isinstance(kind, list) or kind == "COMBO":
            choices = kind if isinstance(kind, list) else options.get("options", [])
            class_type = self._prompt[node_id]["class_type"]
            if class_type in _LOADERS or (class_type == "SaveVideo" and self._unchecked_combos):
                return True
            shown = [config[0], options] if isinstance(kind, list) else config
            return value in choices or self._not_listed(node_id, name, value, choices, shown)
        try:
            value = _converted(kind, value)
        except (TypeError, ValueError, OverflowError) as problem:
            return self._fault(
                node_id,
                "invalid_input_type",
                f"Failed to convert an input value to a {kind} value",
                f"{name}, {value}, {problem}",
                input_name=name,
                input_config=config,
                received_value=value,
                exception_message=str(problem),
            )
        self.inputs[node_id][name] = value
        return self._in_range(node_id, name, config, value)

    def _in_range(self, node_id: str, name: str, config: list[Any], value: Json) -> bool:
        options = config[1] if len(config) > 1 else {}
        if config[0] not in ("INT", "FLOAT"):
            return True
        if value < options.get("min", value):
            kind, words = "value_smaller_than_min", f"smaller than min of {options['min']}"
        elif value > options.get("max", value):
            kind, words = "value_bigger_than_max", f"bigger than max of {options['max']}"
        else:
            return True
        return self._fault(
            node_id,
            kind,
            f"Value {value} {words}",
            name,
            input_name=name,
            input_config=config,
            received_value=value,
        )

    def _drop_unknown(self, node_id: str, name: str, config: list[Any]) -> None:
        """Leave out a choice that does not exist, as real servers do; the node then misses it."""
        inputs = self.inputs[node_id]
        if inputs[name] not in [option["key"] for option in config[1]["options"]]:
            for given in [i for i in inputs if i == name or i.startswith(f"{name}.")]:
                del inputs[given]

    def _dynamic(self, node_id: str, name: str, config: list[Any]) -> bool:
        """Check a choice that brings inputs of its own, named ``name.inner``."""
        value = self.inputs[node_id][name]
        options = {option["key"]: option["inputs"] for option in config[1]["options"]}
        if value not in options:
            return self._not_listed(node_id, name, value, list(options), config)
        good = True
        for kind, wanted in options[value].items():
            for inner, inner_config in wanted.items():
                full = f"{name}.{inner}"
                if full in self.inputs[node_id]:
                    good = self._input(node_id, full, inner_config) and good
                elif kind == "required" and inner not in self.inputs[node_id]:
                    # the flat name of older servers is taken too
                    self._missing(node_id, full)
                    good = False
        return good

    def _files(self, node_id: str) -> bool:
        loader = _LOADERS.get(self._prompt[node_id]["class_type"])
        if loader is None:
            return True
        name, what = loader
        value = self.inputs[node_id].get(name)
        if not isinstance(value, str) or self._folders.source(value) is None:
            return self._fault(
                node_id,
                "custom_validation_failed",
                "Custom validation failed for node",
                f"{name} - Invalid {what} file: {value}",
                input_name=name,
            )
        return True

    def _cycle(self, members: list[str]) -> None:
        path = [*members, members[0]]
        details = " -> ".join(f"{i} ({self._prompt[i]['class_type']})" for i in path)
        for node_id in members:
            self._fault(
                node_id,
                "dependency_cycle",
                "Dependency cycle detected",
                details,
                node_id=node_id,
                cycle_nodes=members,
            )

    def _missing(self, node_id: str, name: str) -> None:
        self._fault(
            node_id,
            "required_input_missing",
            "Required input is missing",
            name,
            input_name=name,
        )

    def _not_listed(
        self, node_id: str, name: str, value: Json, choices: list[Any], config: list[Any]
    ) -> bool:
        long = len(choices) > _LONG_LIST
        listed = f"(list of length {len(choices)})" if long else str(choices)
        return self._fault(
            node_id,
            "value_not_in_list",
            "Value not in list",
            f"{name}: {value!r} not in {listed}",
            input_name=name,
            input_config=None if long else config,
            received_value=value,
        )

    def _fault(self, at: str, kind: str, message: str, details: str, /, **extra: Json) -> bool:
        errors = self._errors.setdefault(at, [])
        errors.append({"type": kind, "message": message, "details": details, "extra_info": extra})
        return False


def _converted(kind: str, value: Json) -> Json:
    match kind:
        case "INT":
            return int(value)
        case "FLOAT":
            number = float(value)
            if not isfinite(number):
                # a real server takes it for a number, and every limit with it
                raise ValueError(f"not a finite number: {number}")
            return number
        case "STRING":
            return str(value)
        case "BOOLEAN":
            return bool(value)
        case _:
            return value
