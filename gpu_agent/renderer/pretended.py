"""Model nodes without models: they take the time and the memory, and pass the pictures on.

A model, a text encoding and the like are known by a name. What stands for a latent is the pictures
themselves, so a graph comes to its end and what it saves is its input, resized.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from gpu_agent.renderer.behaviour import Behaviour, PretendedModel
from gpu_agent.renderer.errors import MissingModelError
from gpu_agent.renderer.graph import Node
from gpu_agent.renderer.nodes import NODES
from gpu_agent.renderer.nodes.context import Inputs, NodeFunction, Result, Run, one
from gpu_agent.renderer.nodes.values import Batch, Value

_DATA: Final = Path(__file__).with_name("object_info_models.json")
_BLANK: Final = 0x808080
_ENLARGED: Final = 2
# as many outputs as the largest loader has; slots beyond a class's own are never read
_MODEL_SLOTS: Final = 3

MODEL_FOLDERS: Final = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "latent_upscale_models",
    "custom_nodes",
    "datasets",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
    "background_removal",
    "frame_interpolation",
    "geometry_estimation",
    "optical_flow",
    "detection",
)
"""What ``/models`` lists."""

LOADERS: Final[Mapping[str, tuple[str, str]]] = {
    "CheckpointLoaderSimple": ("ckpt_name", "checkpoints"),
    "ImageOnlyCheckpointLoader": ("ckpt_name", "checkpoints"),
    "UNETLoader": ("unet_name", "diffusion_models"),
    "CLIPLoader": ("clip_name", "text_encoders"),
    "VAELoader": ("vae_name", "vae"),
    "LoraLoaderModelOnly": ("lora_name", "loras"),
    "UpscaleModelLoader": ("model_name", "upscale_models"),
    "FrameInterpolationModelLoader": ("model_name", "frame_interpolation"),
}
"""Class -> the input that names a file, and the folder it is in."""


# choices that are no files
_ALWAYS_THERE: Final[Mapping[str, list[str]]] = {"VAELoader": ["pixel_space"]}


_NO_FILES: Final = frozenset(name for names in _ALWAYS_THERE.values() for name in names)


class ModelMemory:
    """The models that are loaded, least recently used first. Written on the worker thread only."""

    def __init__(self, behaviour: Behaviour, *, closing: threading.Event) -> None:
        self._behaviour = behaviour
        self._closing = closing
        self._held: OrderedDict[str, PretendedModel] = OrderedDict()
        self._leaked = 0

    def load(self, name: str) -> None:
        """Make a model present; this takes its time unless it was. Interrupts are not heard.

        Raises:
            MissingModelError: there is no such file.
        """
        model = (self._behaviour.models or {}).get(name)
        if name in _NO_FILES:
            return
        if model is None:
            raise MissingModelError(name)
        if name not in self._held:
            self._closing.wait(model.load_s)
            self._held[name] = model
        self._held.move_to_end(name)
        while len(self._held) > max(1, self._behaviour.models_held):
            self._held.popitem(last=False)

    def recall(self, name: str) -> bool:
        """Say whether a model is present; if so, it was just used."""
        if name not in self._held:
            return False
        self._held.move_to_end(name)
        return True

    def unload(self) -> None:
        """Let go of all models."""
        self._held.clear()

    def end_run(self) -> None:
        """Lose what a run leaks."""
        self._leaked += self._behaviour.vram_leak_bytes

    def free_bytes(self) -> int:
        """Return what is left of the pretended GPU's memory."""
        taken = sum(model.nbytes for model in list(self._held.values()))
        return max(0, self._behaviour.vram_bytes - taken - self._leaked)


class Pretence:
    """The model classes, as long as the switches say that they are known."""

    def __init__(self, behaviour: Behaviour, memory: ModelMemory) -> None:
        self._behaviour = behaviour
        self._memory = memory
        self._recorded: Mapping[str, dict[str, Any]] = msgspec.json.decode(_DATA.read_bytes())
        self._nodes = _nodes(memory)

    def names(self) -> tuple[str, ...]:
        """Return the classes that may be used."""
        return () if self._behaviour.models is None else tuple(self._nodes)

    def is_older(self) -> bool:
        """Say whether the classes are those of an older version."""
        return self._behaviour.older

    def info(self, class_type: str) -> dict[str, Any]:
        """Return what is known of a class, with the present model files in a loader's list."""
        info = deepcopy(self._recorded[class_type])
        if class_type in LOADERS:
            name, folder = LOADERS[class_type]
            config = info["input"]["required"][name]
            choices = self.files(folder) + _ALWAYS_THERE.get(class_type, [])
            if isinstance(config[0], list):
                config[0] = choices
            else:
                config[1]["options"] = choices
        return info

    def files(self, folder: str) -> list[str]:
        """Return the pretended files of a model folder."""
        models = self._behaviour.models or {}
        return sorted(name for name, model in models.items() if model.folder == folder)

    def work(self, class_type: str) -> NodeFunction:
        """Return the function that pretends to be a class."""
        return self._nodes[class_type]

    def stands(self, node: Node) -> bool:
        """Say whether an earlier answer of a node still holds: a loader's model may be gone."""
        if node.class_type not in LOADERS:
            return True
        return self._memory.recall(str(node.inputs.get(LOADERS[node.class_type][0])))


def _nodes(memory: ModelMemory) -> dict[str, NodeFunction]:
    nodes: dict[str, NodeFunction] = {
        "VideoLinearCFGGuidance": partial(_named, "model"),
        "ModelSamplingSD3": partial(_named, "model"),
        "CLIPTextEncode": partial(_named, "text"),
        "VAEDecode": partial(_pictured, "samples"),
        "VAEEncode": partial(_pictured, "pixels"),
        "TrimVideoLatent": partial(_pictured, "samples"),
        "SVD_img2vid_Conditioning": partial(_conditioned, "init_image", "video_frames"),
        "WanVaceToVideo": partial(_conditioned, "control_video", "length"),
        "Wan22FunControlToVideo": partial(_conditioned, "control_video", "length"),
        "WanImageToVideo": partial(_conditioned, "start_image", "length"),
        "KSampler": _sampled,
        "ImageUpscaleWithModel": _enlarged,
        "FrameInterpolate": _interpolated,
    }
    for class_type, (name, _) in LOADERS.items():
        nodes[class_type] = partial(_loaded, memory, name)
    return nodes


def _loaded(memory: ModelMemory, name: str, inputs: Inputs, _run: Run) -> Result:
    file = inputs.text(name)
    memory.load(file)
    return Result(values=(file,) * _MODEL_SLOTS)


def _named(name: str, inputs: Inputs, _run: Run) -> Result:
    return one(inputs.text(name))


def _pictured(name: str, inputs: Inputs, _run: Run) -> Result:
    return one(inputs.batch(name))


def _conditioned(pictures: str, frames: str, inputs: Inputs, run: Run) -> Result:
    """Pictures in the asked size and number take the place of a latent."""
    size = {"width": inputs.integer("width"), "height": inputs.integer("height")}
    count = inputs.integer(frames, 1)
    if inputs.has(pictures):
        batch = _scaled(inputs.batch(pictures), size, run)
        repeats = -(-count // len(batch))
        batch = _batch("RepeatImageBatch", run, image=batch, amount=repeats)
        batch = _batch("ImageFromBatch", run, image=batch, batch_index=0, length=count)
    else:
        batch = _batch("EmptyImage", run, **size, batch_size=count, color=_BLANK)
    # the last is how much of the latent is to be trimmed, which only some classes tell
    return Result(values=(inputs.text("positive"), inputs.text("negative"), batch, 0))


def _sampled(inputs: Inputs, run: Run) -> Result:
    """KSampler: one tick per step."""
    batch, steps = inputs.batch("latent_image"), inputs.integer("steps", 1)
    for step in range(steps):
        run.tick(step + 1, steps, batch.stored(0))
    return one(batch)


def _enlarged(inputs: Inputs, run: Run) -> Result:
    batch = inputs.batch("image")
    size = {"width": batch.width * _ENLARGED, "height": batch.height * _ENLARGED}
    return one(_scaled(batch, size, run))


def _interpolated(inputs: Inputs, run: Run) -> Result:
    """FrameInterpolate: as many frames as asked for, though none is in between."""
    batch, times = inputs.batch("images"), inputs.integer("multiplier", 2)
    count = len(batch) * times
    batch = _batch("RepeatImageBatch", run, image=batch, amount=times)
    return one(_batch("ImageFromBatch", run, image=batch, batch_index=0, length=count))


def _scaled(batch: Batch, size: Mapping[str, int], run: Run) -> Batch:
    return _batch("ImageScale", run, image=batch, upscale_method="area", crop="disabled", **size)


def _batch(class_type: str, run: Run, **values: Value) -> Batch:
    work: Callable[[Inputs, Run], Result] = NODES[class_type]
    made = work(Inputs(values), run).values[0]
    assert isinstance(made, Batch)
    return made
