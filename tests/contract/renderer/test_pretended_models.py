"""Models that are only pretended: listed, loaded, held, evicted, and seen in the GPU's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpu_agent.renderer.behaviour import Behaviour, PretendedModel
from tests.contract.renderer.support import CLIENT, Client, Message, renderer

GIB = 1 << 30
TWO = {
    "a.safetensors": PretendedModel(folder="upscale_models", nbytes=4 * GIB),
    "b.safetensors": PretendedModel(folder="upscale_models", nbytes=6 * GIB),
}


def upscale(model: str, number: int) -> dict[str, Any]:
    """Return load model, enlarge, save; each number has another image, which no cache knows."""
    empty = {"width": 8, "height": 8, "batch_size": 1, "color": number}
    return {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": model}},
        "3": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]},
        },
        "4": {
            "class_type": "SaveImage",
            "inputs": {"images": ["3", 0], "filename_prefix": f"p{number}/o"},
        },
    }


def svd(model: str) -> dict[str, Any]:
    """Return the nodes of the recorded SVD graph, small."""
    conditioning = {
        "clip_vision": ["1", 1],
        "init_image": ["2", 0],
        "vae": ["1", 2],
        "width": 32,
        "height": 16,
        "video_frames": 4,
        "motion_bucket_id": 127,
        "fps": 6,
        "augmentation_level": 0.0,
    }
    sampler = {
        "model": ["4", 0],
        "seed": 1,
        "steps": 3,
        "cfg": 2.5,
        "sampler_name": "euler",
        "scheduler": "karras",
        "positive": ["3", 0],
        "negative": ["3", 1],
        "latent_image": ["3", 2],
        "denoise": 1.0,
    }
    empty = {"width": 64, "height": 32, "batch_size": 1, "color": 255}
    return {
        "1": {"class_type": "ImageOnlyCheckpointLoader", "inputs": {"ckpt_name": model}},
        "2": {"class_type": "EmptyImage", "inputs": empty},
        "3": {"class_type": "SVD_img2vid_Conditioning", "inputs": conditioning},
        "4": {
            "class_type": "VideoLinearCFGGuidance",
            "inputs": {"model": ["1", 0], "min_cfg": 1.0},
        },
        "5": {"class_type": "KSampler", "inputs": sampler},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "s"}},
    }


def worked(messages: list[Message]) -> list[str]:
    """Return the nodes that did some work, in order."""
    return [m["data"]["node"] for m in messages if m["type"] == "executing" and m["data"]["node"]]


async def free(client: Client) -> int:
    """Return the free bytes of the GPU."""
    [device] = (await client.http.get("/system_stats")).json()["devices"]
    assert device["type"] == "cuda"
    return int(device["vram_free"])


async def test_a_warm_model_is_not_loaded_again_and_a_cold_one_is(tmp_path: Path) -> None:
    """A client sees a cold start by the loader's node: it works, or comes from the cache."""
    async with renderer(tmp_path, Behaviour(models=TWO, models_held=1)) as client:
        loads = []
        for number, model in enumerate(("a", "a", "b", "a")):
            _, messages = await client.run(upscale(f"{model}.safetensors", number))
            loads.append("2" in worked(messages))

    assert loads == [True, False, True, True]


async def test_the_least_recently_used_model_makes_room(tmp_path: Path) -> None:
    """Using a model from the cache counts as use."""
    models = {**TWO, "c.safetensors": PretendedModel(folder="upscale_models")}
    async with renderer(tmp_path, Behaviour(models=models, models_held=2)) as client:
        loads = []
        for number, model in enumerate(("a", "b", "a", "c", "a", "b")):
            _, messages = await client.run(upscale(f"{model}.safetensors", number))
            loads.append("2" in worked(messages))

    assert loads == [True, True, False, True, False, True]


async def test_models_and_leaks_are_seen_in_the_memory_of_the_gpu(tmp_path: Path) -> None:
    """The agent's leak detector reads these figures."""
    behaviour = Behaviour(models=TWO, models_held=2, vram_bytes=16 * GIB, vram_leak_bytes=GIB)
    async with renderer(tmp_path, behaviour) as client:
        left = [await free(client)]
        for number, model in enumerate(("a", "b")):
            await client.run(upscale(f"{model}.safetensors", number))
            left.append(await free(client))
        await client.http.post("/free", json={"unload_models": True})
        left.append(await free(client))

    assert [x // GIB for x in left] == [16, 11, 4, 14]


async def test_loading_takes_the_time_it_is_said_to_take(tmp_path: Path) -> None:
    """By the server's own clock, which is what the agent's meter reads."""
    slow = {"a.safetensors": PretendedModel(folder="upscale_models", load_s=0.2)}
    async with renderer(tmp_path, Behaviour(models=slow)) as client:
        prompt_id, _ = await client.run(upscale("a.safetensors", 0))
        job = await client.job(prompt_id)

    assert job["execution_end_time"] - job["execution_start_time"] >= 200


async def test_the_pretended_svd_graph_samples_step_by_step(tmp_path: Path) -> None:
    """Records for model workflows can then be run to their end without a GPU."""
    models = {"svd.safetensors": PretendedModel()}
    async with renderer(tmp_path, Behaviour(models=models, silent_nodes=True)) as client:
        prompt_id, messages = await client.run(svd("svd.safetensors"))
        entry = await client.history(prompt_id)

    steps = [m["data"] for m in messages if m["type"] == "progress"]
    assert [(s["node"], s["value"], s["max"]) for s in steps] == [
        ("5", 1, 3),
        ("5", 2, 3),
        ("5", 3, 3),
    ]
    assert len(entry["outputs"]["7"]["images"]) == 4


async def test_model_classes_are_unknown_without_the_switch(tmp_path: Path) -> None:
    """The renderer must not promise what it cannot do."""
    async with renderer(tmp_path) as client:
        info = (await client.http.get("/object_info/KSampler")).json()
        body = {"prompt": svd("svd.safetensors"), "client_id": CLIENT}
        answer = await client.http.post("/prompt", json=body)

    assert info == {}
    assert answer.json()["error"]["type"] == "missing_node_type"


async def test_model_files_are_listed_for_their_loaders_only(tmp_path: Path) -> None:
    """Hosts that can run a record are found by these lists."""
    async with renderer(tmp_path, Behaviour(models=TWO)) as client:
        info = (await client.http.get("/object_info")).json()
        folder = (await client.http.get("/models/upscale_models")).json()

    upscalers = info["UpscaleModelLoader"]["input"]["required"]["model_name"][1]["options"]
    assert upscalers == folder == sorted(TWO)
    assert info["ImageOnlyCheckpointLoader"]["input"]["required"]["ckpt_name"][0] == []
