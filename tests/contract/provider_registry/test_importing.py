"""Every recorded graph becomes the right record, or is refused for the right reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.provider_registry import core
from actors.provider_registry.importing import Proposal, propose
from actors.provider_registry.shipped import shipped
from schemas.routing import NodeMap, ProviderRecord
from tests.contract.provider_registry.graphs import (
    NAMES,
    custom_sampling,
    object_info,
    recorded,
)

REFUSED = {
    "fx-poster-and-sheet": "several outputs: 4 (SaveImage), 5 (SaveAnimatedWEBP), 91 (SaveVideo)",
    "model-comfy-svd-v1-image": "no video input: output 91 does not depend on a LoadVideo",
}
MODELS = {
    "model-comfy-svd-v1": ("svd.safetensors",),
    "model-frame-interpolation-x2": ("film_net_fp16.safetensors",),
    "model-gan-upscale-x4": ("RealESRGAN_x4plus.safetensors",),
    "model-wan21-vace-v2v": (
        "reference.png",
        "wan2.1_vace_1.3B_fp16.safetensors",
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        "wan_2.1_vae.safetensors",
    ),
    "model-wan22-fun-control-5b": (
        "reference.png",
        "wan2.2_fun_control_5B_bf16.safetensors",
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        "wan2.2_vae.safetensors",
    ),
    "fx-color-transfer": ("reference.png",),
    "fx-color-transfer-hist": ("reference.png",),
}
MAPPED = {
    "fx-save-webm": {"output_node": "3"},
    "model-comfy-svd-v1": {"sampler_node": "13", "checkpoint_loader": "10"},
    "model-frame-interpolation-x2": {"checkpoint_loader": "3"},
    "model-gan-upscale-x4": {"checkpoint_loader": "3"},
    "model-wan21-vace-v2v": {
        "sampler_node": "17",
        "checkpoint_loader": "10",
        "prompt_node": "13",
        "negative_prompt_node": "14",
    },
    "model-wan22-fun-control-5b": {
        "sampler_node": "17",
        "checkpoint_loader": "10",
        "prompt_node": "13",
        "negative_prompt_node": "14",
    },
}
EFFECTS = {
    "fx-bloom": ("style_transfer", "glow"),
    "fx-brightness": ("color_correction", "brightness"),
    "fx-color-transfer": ("color_correction", "color_transfer"),
    "fx-grain": ("style_transfer", "film_grain"),
    "fx-letterbox": ("framing", "letterbox"),
    "fx-pixelate": ("style_transfer", "pixelate"),
    "fx-posterize": ("style_transfer", "posterize"),
    "fx-sharpen": ("detail_enhancement", "crisp"),
    "fx-text": ("text_overlay", "caption"),
    "fx-vhs": ("style_transfer", "vhs"),
    "model-frame-interpolation-x2": ("motion_enhancement", "smooth"),
    "model-gan-upscale-x4": ("upscale", "upscale"),
}


def proposed(graph: Any, **options: Any) -> ProviderRecord:
    """Return the record of a graph that can become one."""
    proposal = propose(graph, **options)
    assert proposal.refusals == ()
    assert proposal.record is not None
    return proposal.record


def refusals(graph: Any, **options: Any) -> str:
    """Return every reason why a graph cannot become a provider."""
    proposal = propose(graph, **options)
    assert proposal.record is None
    assert proposal.refusals
    return "; ".join(proposal.refusals)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("asked", [True, False], ids=["host asked", "no host"])
def test_every_recorded_graph_is_proposed_or_refused(name: str, asked: bool) -> None:
    """They ran on a real server, so whatever is refused is refused for what we cannot serve."""
    proposal = propose(recorded(name), title=name, info=object_info() if asked else None)

    if name in REFUSED:
        assert proposal.record is None
        assert REFUSED[name] in "; ".join(proposal.refusals)
        return
    assert proposal.refusals == ()
    assert proposal.record is not None
    known = {"video_input_node": "1", "output_node": "91"} | MAPPED.get(name, {})
    assert proposal.record.node_mapping == NodeMap(**known)
    assert proposal.record.required_models == MODELS.get(name, ())
    classes = {node["class_type"] for node in recorded(name).values()}
    assert set(proposal.record.node_dependencies) == classes
    assert proposal.record.status == "draft"
    assert core.faults(proposal.record) == ()


@pytest.mark.parametrize(("name", "wanted"), EFFECTS.items())
def test_the_effect_is_guessed(name: str, wanted: tuple[str, str]) -> None:
    """From the words of the title, else from the classes."""
    record = proposed(recorded(name), title=name)

    assert (record.capabilities, record.supported_effect_types) == ((wanted[0],), (wanted[1],))


def test_what_gives_nothing_away_is_said_to_be_a_guess() -> None:
    """An admin reads the notes before anything is added."""
    proposal = propose(recorded("fx-passthrough"), title="number nine")

    assert any("is a guess" in note for note in proposal.notes)


@pytest.mark.parametrize("record", shipped(), ids=lambda each: each.provider_id)
def test_the_shipped_graphs_are_read_as_they_were_mapped_by_hand(record: ProviderRecord) -> None:
    """Among them VACE, Fun Control, LTX-2 with its guider, and AnimateDiff with custom nodes."""
    mapping = proposed(dict(record.graph), provider_id=record.provider_id).node_mapping

    by_hand = record.node_mapping
    if record.graph.get(by_hand.prompt_node, {}).get("class_type") == "TextOverlay":
        by_hand = msgspec.structs.replace(by_hand, prompt_node="")  # a caption is no prompt
    assert mapping == by_hand


def test_a_sampler_of_parts_is_followed_to_each_part() -> None:
    """SamplerCustomAdvanced holds nothing itself: seed, steps, cfg and words are behind links."""
    record = proposed(custom_sampling(), title="ltx")

    assert record.node_mapping == NodeMap(
        video_input_node="1",
        output_node="91",
        prompt_node="13",
        negative_prompt_node="14",
        sampler_node="22",
        checkpoint_loader="10",
    )
    places = {name: (rule.node, rule.input) for name, rule in record.parameter_rules.items()}
    assert places["seed"] == ("18", "noise_seed")
    assert places["steps"] == ("19", "steps")
    assert places["cfg_scale"] == ("17", "cfg")
    assert record.default_parameters["seed"] == 42
    assert record.cost_model.gpu_type_required == "A100"  # 19 billion parameters


def test_a_prompt_behind_other_nodes_and_a_zeroed_negative() -> None:
    """The negative of such a graph is made of the positive: it has no words of its own."""
    graph = custom_sampling()
    graph["30"] = {"class_type": "FluxGuidance", "inputs": {"conditioning": ["13", 0]}}
    graph["31"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["13", 0]}}
    graph["15"]["inputs"] |= {"positive": ["30", 0], "negative": ["31", 0]}
    mapping = proposed(graph).node_mapping

    assert (mapping.prompt_node, mapping.negative_prompt_node) == ("13", "")


def test_the_order_of_outputs_decides_which_words_are_the_negative() -> None:
    """A conditioning node passes both on; crossed links swap them, and so must we."""
    graph = recorded("model-wan21-vace-v2v")
    graph["17"]["inputs"] |= {"positive": ["16", 1], "negative": ["16", 0]}
    mapping = proposed(graph).node_mapping

    assert (mapping.prompt_node, mapping.negative_prompt_node) == ("14", "13")


def test_a_constant_behind_a_link_is_where_the_parameter_goes() -> None:
    """A rule must point at a literal; a host would ignore a value in place of a link."""
    graph = recorded("model-comfy-svd-v1")
    graph["50"] = {"class_type": "PrimitiveInt", "inputs": {"value": 25}}
    graph["13"]["inputs"]["steps"] = ["50", 0]
    rule = proposed(graph, info=object_info()).parameter_rules["steps"]

    assert (rule.node, rule.input, rule.type) == ("50", "value", "int")
    assert (rule.minimum, rule.maximum) == (1.0, 60.0)


def test_two_samplers_share_no_parameter_but_the_seed() -> None:
    """Two experts in a row: steps of one without the other would tear the picture."""
    graph = recorded("model-comfy-svd-v1")
    second = dict(graph["13"], inputs=graph["13"]["inputs"] | {"latent_image": ["13", 0]})
    graph["60"] = second
    graph["14"]["inputs"]["samples"] = ["60", 0]
    proposal = propose(graph)

    assert proposal.record is not None
    assert proposal.record.node_mapping.sampler_node == "13"
    assert any("several samplers (13, 60)" in note for note in proposal.notes)
    rules = proposal.record.parameter_rules
    assert rules["seed"].node == "13"


def test_bounds_are_the_hosts_within_what_is_sane() -> None:
    """A host takes 10,000 steps and a cfg of 100; nobody would pay, or look at it."""
    rules = proposed(recorded("model-comfy-svd-v1"), info=object_info()).parameter_rules

    assert (rules["steps"].minimum, rules["steps"].maximum) == (1.0, 60.0)
    assert rules["cfg_scale"].maximum == 20.0
    assert rules["seed"].maximum == 2**53 - 1
    assert "euler" in rules["sampler_name"].choices
    assert rules["sampler_name"].type == "choice"


def test_without_a_host_there_are_bounds_and_no_choices() -> None:
    """Choices cannot be guessed."""
    proposal = propose(recorded("fx-soft-light"), title="soft light")

    assert proposal.record is not None
    rules = proposal.record.parameter_rules
    assert (rules["strength"].minimum, rules["strength"].maximum) == (0.0, 1.0)
    assert "blend_mode" not in rules
    assert any("no host was asked" in note for note in proposal.notes)


def test_nothing_that_names_a_file_becomes_a_parameter() -> None:
    """A task that could name one could read another job's."""
    for name in NAMES:
        proposal = propose(recorded(name), info=object_info())
        for rule in proposal.record.parameter_rules.values() if proposal.record else ():
            value = recorded(name)[rule.node]["inputs"][rule.input]
            assert rule.input not in {"file", "image", "filename_prefix", "fragment_shader"}
            assert not str(value).endswith((".safetensors", ".png", ".mp4"))


def test_a_canvas_is_made_as_large_as_the_clip() -> None:
    """The recorded graph has 640x360 in it, and a job brings another size."""
    rules = proposed(recorded("fx-luma-key")).parameter_rules

    assert (rules["input_width"].node, rules["input_width"].input) == ("6", "width")
    assert (rules["input_height"].node, rules["input_height"].input) == ("6", "height")
    assert (rules["input_frames"].node, rules["input_frames"].input) == ("7", "amount")


def test_a_size_that_is_needed_twice_is_pointed_out() -> None:
    """One rule fills one input; what is left would fit one size of clip only."""
    proposal = propose(recorded("fx-vignette-mask"))

    assert any("nodes 3, 5 have a fixed width" in note for note in proposal.notes)


def test_a_model_costs_by_its_steps_and_a_look_by_its_classes() -> None:
    """The first guess must be of the right size, or nothing is ever routed there."""
    svd = proposed(recorded("model-comfy-svd-v1")).cost_model
    blur = proposed(recorded("fx-blur")).cost_model
    posterize = proposed(recorded("fx-posterize")).cost_model

    assert (svd.gpu_type_required, svd.avg_gpu_seconds_per_frame) == ("A10G", 1.2)
    assert svd.cold_start_penalty_seconds > 0
    assert blur.gpu_type_required == "cpu"
    assert blur.avg_gpu_seconds_per_frame < posterize.avg_gpu_seconds_per_frame < 0.5


def with_input(name: str, node: str, **inputs: object) -> dict[str, Any]:
    """Return a recorded graph with other inputs at one node."""
    graph = recorded(name)
    graph[node]["inputs"] |= inputs
    return graph


SMUGGLED = [
    ({"method": "http://10.0.0.1/x"}, "is a URL"),
    ({"method": "file:///etc/passwd"}, "is a URL"),
    ({"method": "/etc/passwd"}, "is an absolute path"),
    ({"method": "C:\\Windows\\x"}, "is an absolute path"),
    ({"method": "~/x"}, "is an absolute path"),
    ({"method": "a/../../x"}, "leads out of its folder"),
    ({"method": "other.mp4 [output]"}, "names another folder"),
    ({"method": "x\x00y"}, "null character"),
    ({"method": "y" * 100_000}, "100000 characters, more than 16384"),
    ({"strength": 2**70}, "is a huge number"),
    ({"strength": {"__value__": [float("inf")]}}, "is inf"),
    ({"strength": float("nan")}, "is nan"),
]


@pytest.mark.parametrize(("inputs", "why"), SMUGGLED)
def test_what_leads_out_of_the_hosts_folders_is_refused(inputs: Any, why: str) -> None:
    """Within its folders a host has no isolation, and no graph needs to leave them."""
    assert why in refusals(with_input("fx-color-transfer", "4", **inputs))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/x.png", "jobs/x/clip.png", "a.png [temp]"])
def test_a_still_has_a_plain_name(name: str) -> None:
    """Another job's files lie in the subfolders."""
    assert "is no plain file name" in refusals(with_input("fx-color-transfer", "3", image=name))


def test_the_clip_and_the_prefix_may_not_lead_elsewhere_either() -> None:
    """The agent replaces both; a template that tries is not to be trusted in anything."""
    assert "leads elsewhere" in refusals(with_input("fx-blur", "1", file="/etc/shadow"))
    assert "leads elsewhere" in refusals(with_input("fx-blur", "91", filename_prefix="../../x"))


@pytest.mark.parametrize(
    "text",
    ["naïve 夜の東京 🎬", "{{ config }} ${HOME} {a|b} %date%", "see http://example.org/a/../b", ""],
)
def test_words_may_say_anything(text: str) -> None:
    """Unicode, template syntax and addresses are words; nothing evaluates them."""
    graph = with_input("model-wan21-vace-v2v", "13", text=text)

    assert proposed(graph).graph["13"]["inputs"]["text"] == text  # type: ignore[index]


def test_words_that_load_a_file_are_refused() -> None:
    """ComfyUI's text encoders read embedding files that are named in a prompt."""
    graph = with_input("model-wan21-vace-v2v", "13", text="a cat, embedding:secret")

    assert "names an embedding file" in refusals(graph)


def test_a_graph_of_the_user_interface_is_named_as_such() -> None:
    """It is what everybody exports first."""
    why = refusals({"nodes": [{"id": 1}], "links": [], "version": 0.4})

    assert "user interface's format" in why
    assert "Export (API)" in why


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (None, "no graph"),
        ([], "no graph"),
        ("x", "no graph"),
        ({}, "it is empty"),
        ({"1": "LoadVideo"}, "node '1' is no object"),
        ({"1": {"inputs": {}}}, "node '1' has no class_type"),
        ({"1": {"class_type": 7, "inputs": {}}}, "node '1' has no class_type"),
        ({"1": {"class_type": "LoadVideo"}}, "node '1' has no inputs"),
        ({"1": {"class_type": "LoadVideo", "inputs": []}}, "node '1' has no inputs"),
        ({"1": {"class_type": "LoadVideo", "inputs": {"file": "a.mp4"}}}, "no video output"),
        ({"a b>": {"class_type": "LoadVideo", "inputs": {}}}, "node id 'a b>' is none"),
    ],
)
def test_what_is_no_graph_is_refused(graph: object, why: str) -> None:
    """Each with what is wrong, not with a traceback."""
    assert why in refusals(graph)


def test_the_body_of_a_submission_is_taken_for_its_graph() -> None:
    """It is what a browser's developer tools show."""
    body = {"prompt": recorded("fx-blur"), "client_id": "x"}

    assert proposed(body, title="blur").graph.keys() == recorded("fx-blur").keys()


def test_a_link_to_nowhere_and_a_loop_are_refused() -> None:
    """A host answers the one with a traceback; the other it may never finish."""
    assert "links image to the absent node '99'" in refusals(
        with_input("fx-blur", "3", image=["99", 0])
    )
    loop = with_input("fx-soft-light", "3", image=["4", 0])
    assert "depends on itself" in refusals(loop)


def test_too_many_nodes_and_too_large_a_graph_are_refused() -> None:
    """It would be stored for ever, and be sent with every change."""
    graph = recorded("fx-blur")
    many = {
        f"n{n}": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}} for n in range(200)
    }
    assert "more than 200" in refusals(graph | many)
    long = {
        f"n{n}": {"class_type": "CLIPTextEncode", "inputs": {"text": "x" * 16_000, "clip": 1}}
        for n in range(40)
    }
    assert "more than 524288 bytes" in refusals(graph | long)


@pytest.mark.parametrize(
    "kind", ["KlingTextToVideoNode", "Veo3VideoGenerationNode", "OpenAIDalle3", "WanTextToVideoApi"]
)
def test_a_node_that_calls_a_paid_service_is_refused(kind: str) -> None:
    """Its bill would come from somebody else, and nobody here would know of it."""
    graph = recorded("fx-blur")
    graph["3"]["class_type"] = kind

    assert f"node 3 ({kind}) calls a paid service" in refusals(graph)


def test_a_host_says_which_nodes_are_paid() -> None:
    """Whatever they are called."""
    info = object_info()
    info["ImageBlur"]["api_node"] = True

    assert "node 3 (ImageBlur) calls a paid service" in refusals(recorded("fx-blur"), info=info)


def test_another_way_to_write_a_video_is_pointed_at() -> None:
    """Agents read what SaveVideo writes; the usual custom node answers in a way of its own."""
    graph = recorded("fx-blur")
    graph["91"] = {"class_type": "VHS_VideoCombine", "inputs": {"images": ["3", 0]}}

    assert "91 (VHS_VideoCombine) cannot take its place" in refusals(graph)


def test_two_clips_are_refused() -> None:
    """A job brings one."""
    graph = recorded("fx-side-by-side")
    graph["70"] = {"class_type": "LoadVideo", "inputs": {"file": "other.mp4"}}
    graph["71"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["70", 0]}}
    graph["4"]["inputs"]["image2"] = ["71", 0]

    assert "several video inputs: 1, 70" in refusals(graph)


def test_an_unknown_class_is_refused_when_a_host_was_asked() -> None:
    """Without one nobody can tell a custom node from a slip of the pen."""
    graph = recorded("fx-blur")
    graph["3"]["class_type"] = "ImageBlurr"

    assert "the host has no class ImageBlurr" in refusals(graph, info=object_info())
    assert propose(graph).record is not None


def test_a_missing_model_is_a_note_and_no_refusal() -> None:
    """It can be fetched; until then no agent can run the draft."""
    proposal = propose(recorded("model-gan-upscale-x4"), info=object_info())

    assert proposal.record is not None
    assert "the host lacks the file RealESRGAN_x4plus.safetensors" in proposal.notes


def test_proposing_changes_nothing_and_says_the_same_again() -> None:
    """It is a dry run."""
    graph = recorded("model-wan21-vace-v2v")
    before = msgspec.json.encode(graph)

    first: Proposal = propose(graph, title="VACE", info=object_info())
    assert propose(graph, title="VACE", info=object_info()) == first
    assert msgspec.json.encode(graph) == before


def test_a_proposal_is_stored_as_it_was_shown() -> None:
    """Through JSON and back nothing changes, so adding it again changes nothing."""
    for name in NAMES:
        record = propose(recorded(name), title=name, info=object_info()).record
        if record is not None:
            again = msgspec.json.decode(msgspec.json.encode(record), type=ProviderRecord)
            assert core.digest(again) == core.digest(record)
