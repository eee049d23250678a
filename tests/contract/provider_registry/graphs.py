"""The recorded graphs and what a real host said of its classes, as the tests read them."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "workflows").glob("*.json"))


def recorded(name: str) -> dict[str, Any]:
    """Return a graph that a real server took."""
    return msgspec.json.decode((HERE / "workflows" / f"{name}.json").read_bytes())


def object_info(**choices: list[str]) -> dict[str, Any]:
    """Return what a real host said; ``Class__input=[...]`` gives it files."""
    info = deepcopy(_object_info())
    for place, files in choices.items():
        kind, name = place.split("__")
        declared = info[kind]["input"]["required"][name]
        if isinstance(declared[0], list):
            declared[0] = files
        else:
            declared[1]["options"] = files
    return info


@cache
def _object_info() -> dict[str, Any]:
    return msgspec.json.decode((HERE / "object_info_core.json").read_bytes())


def custom_sampling() -> dict[str, Any]:
    """Return a graph with noise, guider, sampler and sigmas of their own."""
    return {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "clip.mp4"}},
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "10": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "ltx-2-19b.safetensors"},
        },
        "11": {
            "class_type": "LoraLoaderModelOnly",
            "inputs": {
                "model": ["10", 0],
                "lora_name": "control.safetensors",
                "strength_model": 1.0,
            },
        },
        "13": {"class_type": "CLIPTextEncode", "inputs": {"text": "rain", "clip": ["10", 1]}},
        "14": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["10", 1]}},
        "15": {
            "class_type": "LTXVConditioning",
            "inputs": {"positive": ["13", 0], "negative": ["14", 0], "frame_rate": 25.0},
        },
        "16": {
            "class_type": "LTXVAddGuide",
            "inputs": {
                "positive": ["15", 0],
                "negative": ["15", 1],
                "vae": ["10", 2],
                "latent": ["21", 0],
                "image": ["2", 0],
                "frame_idx": 0,
                "strength": 0.8,
            },
        },
        "17": {
            "class_type": "CFGGuider",
            "inputs": {
                "model": ["11", 0],
                "positive": ["16", 0],
                "negative": ["16", 1],
                "cfg": 3.0,
            },
        },
        "18": {"class_type": "RandomNoise", "inputs": {"noise_seed": 42}},
        "19": {
            "class_type": "LTXVScheduler",
            "inputs": {"steps": 25, "max_shift": 2.05, "latent": ["16", 2]},
        },
        "20": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "21": {
            "class_type": "EmptyLTXVLatentVideo",
            "inputs": {"width": 768, "height": 512, "length": 97, "batch_size": 1},
        },
        "22": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["18", 0],
                "guider": ["17", 0],
                "sampler": ["20", 0],
                "sigmas": ["19", 0],
                "latent_image": ["16", 2],
            },
        },
        "23": {"class_type": "VAEDecode", "inputs": {"samples": ["22", 0], "vae": ["10", 2]}},
        "90": {"class_type": "CreateVideo", "inputs": {"images": ["23", 0], "fps": 25.0}},
        "91": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["90", 0],
                "filename_prefix": "x",
                "format": "mp4",
                "format.codec": "h264",
            },
        },
    }
