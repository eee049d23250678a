"""Every figure that is measured, with its unit and the floor it must reach."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Better = Literal["higher", "lower"]


class Goal(Struct, frozen=True, kw_only=True):
    """One figure. ``peer`` is what it is compared with, empty for a figure of its own."""

    id: str
    group: str
    what: str
    unit: str
    floor: float
    better: Better
    peer: str = ""
    peer_unit: str = ""

    def reached(self, value: float) -> bool:
        """Say whether a value is on the right side of the floor."""
        return value >= self.floor if self.better == "higher" else value <= self.floor


GOALS: Final = (
    Goal(
        id="hop.rate.plain",
        group="hop",
        what="hops per second / the best plain nats-py loop",
        unit="ratio",
        floor=1.4,
        better="higher",
        peer="nats-py fetch(64) + gather, uvloop",
        peer_unit="hops/s",
    ),
    Goal(
        id="hop.cpu.plain",
        group="hop",
        what="client CPU per hop / the best plain nats-py loop",
        unit="ratio",
        floor=0.7,
        better="lower",
        peer="nats-py fetch(64) + gather, uvloop",
        peer_unit="us/hop",
    ),
    Goal(
        id="hop.rate.faststream",
        group="hop",
        what="hops per second / FastStream",
        unit="ratio",
        floor=3.5,
        better="higher",
        peer="FastStream, msgspec, uvloop",
        peer_unit="hops/s",
    ),
    Goal(
        id="hop.rate.taskiq",
        group="hop",
        what="hops per second / taskiq-nats",
        unit="ratio",
        floor=3.8,
        better="higher",
        peer="taskiq-nats, pull, uvloop",
        peer_unit="hops/s",
    ),
    Goal(
        id="pipeline.p50",
        group="pipeline",
        what="8 hops, p50 / FastStream",
        unit="ratio",
        floor=0.55,
        better="lower",
        peer="FastStream, msgspec, uvloop",
        peer_unit="ms",
    ),
    Goal(
        id="memory.ten_actors",
        group="memory",
        what="RSS of ten actors in one process / of one",
        unit="ratio",
        floor=1.1,
        better="lower",
        peer="one actor",
        peer_unit="MiB",
    ),
    Goal(
        id="manifest.lookup",
        group="manifest",
        what="one lookup in the local copy of the manifest",
        unit="ns",
        floor=150,
        better="lower",
        peer="nats-py KeyValue.get",
        peer_unit="ns",
    ),
    Goal(
        id="manifest.spread",
        group="manifest",
        what="put until ten watchers have it, p50",
        unit="ms",
        floor=15,
        better="lower",
    ),
    Goal(
        id="manifest.restart",
        group="manifest",
        what="put after a broker restart until ten watchers have it",
        unit="s",
        floor=1,
        better="lower",
    ),
    Goal(
        id="saga.outbox",
        group="saga",
        what="steps per second, 32 sagas / Postgres outbox",
        unit="ratio",
        floor=2.5,
        better="higher",
        peer="asyncpg inbox + state + outbox, relay",
        peer_unit="steps/s",
    ),
    Goal(
        id="saga.dbos",
        group="saga",
        what="steps per second, 32 sagas / DBOS",
        unit="ratio",
        floor=8,
        better="higher",
        peer="DBOS, one step of one workflow per saga step",
        peer_unit="steps/s",
    ),
    Goal(
        id="telemetry.produce",
        group="telemetry",
        what="CPU per event to produce telemetry",
        unit="us",
        floor=2.5,
        better="lower",
        peer="nats-py js.publish, one event a message",
        peer_unit="us",
    ),
    Goal(
        id="telemetry.consume",
        group="telemetry",
        what="CPU per event to consume telemetry",
        unit="us",
        floor=6,
        better="lower",
        peer="nats-py fetch + ack, one event a message",
        peer_unit="us",
    ),
    Goal(
        id="recovery.first",
        group="recovery",
        what="server killed, back after 2 s: until the first result",
        unit="s",
        floor=1,
        better="lower",
        peer="nats-py fetch(64) + gather, uvloop",
        peer_unit="s",
    ),
    Goal(
        id="recovery.lost",
        group="recovery",
        what="acknowledged events without a result after the kill",
        unit="events",
        floor=0,
        better="lower",
    ),
    Goal(
        id="fairness.delay",
        group="fairness",
        what="what one message of 1.5 s adds to the slowest of the others",
        unit="ms",
        floor=50,
        better="lower",
        peer="FastStream, msgspec, uvloop",
        peer_unit="ms",
    ),
    Goal(
        id="subscribe.answered",
        group="subscribe",
        what="subscribe, barrier, request from another connection: answered of 400",
        unit="requests",
        floor=400,
        better="higher",
        peer="nats-py subscribe + flush",
        peer_unit="requests",
    ),
    Goal(
        id="tracing.span",
        group="tracing",
        what="CPU per message of a recorded span, 100 % sampled",
        unit="us",
        floor=150,
        better="lower",
        peer="tracing off",
        peer_unit="us/hop",
    ),
    Goal(
        id="intake.normalize",
        group="intake",
        what="10 s of 1080x1920 with sound normalised, with poster and preview",
        unit="s",
        floor=10,
        better="lower",
    ),
    Goal(
        id="intake.memory",
        group="intake",
        what="memory of the child that does it",
        unit="MiB",
        floor=381,
        better="lower",
    ),
    Goal(
        id="intake.ffmpeg",
        group="intake",
        what="wall time / the ffmpeg binary with the same settings",
        unit="ratio",
        floor=1.25,
        better="lower",
        peer="ffmpeg binary, the mezzanine alone",
        peer_unit="s",
    ),
    Goal(
        id="intake.upload",
        group="intake",
        what="growth of the gateway during an upload of 200 MB",
        unit="MiB",
        floor=30.5,
        better="lower",
    ),
    Goal(
        id="codec.roundtrip",
        group="codec",
        what="encode + decode of the sample event / pydantic",
        unit="ratio",
        floor=0.4,
        better="lower",
        peer="pydantic",
        peer_unit="ns",
    ),
    Goal(
        id="quality.order",
        group="quality",
        what="mean rank correlation of damage and composite, 22 families x 4 clips",
        unit="",
        floor=0.9,
        better="higher",
    ),
    Goal(
        id="quality.order_worst",
        group="quality",
        what="the same on the worst clip",
        unit="",
        floor=0.8,
        better="higher",
    ),
    Goal(
        id="quality.separation",
        group="quality",
        what="area under the curve, levels 0 and 1 against 3 and more",
        unit="",
        floor=0.9,
        better="higher",
    ),
    Goal(
        id="quality.drift",
        group="quality",
        what="how far a dimension moves that a family should spare, the worst",
        unit="",
        floor=0.1,
        better="lower",
    ),
    Goal(
        id="quality.look_fidelity",
        group="quality",
        what="fidelity of a faithful look, the worst of 4 looks x 4 clips",
        unit="",
        floor=0.8,
        better="higher",
    ),
    Goal(
        id="quality.look_artifacts",
        group="quality",
        what="artifacts of a clean look, the worst",
        unit="",
        floor=0.15,
        better="lower",
    ),
    Goal(
        id="quality.look_temporal",
        group="quality",
        what="temporal consistency of a steady look, the worst",
        unit="",
        floor=0.85,
        better="higher",
    ),
    Goal(
        id="quality.look_raised",
        group="quality",
        what="families where damage to a look raised the composite",
        unit="families",
        floor=0,
        better="lower",
    ),
    Goal(
        id="quality.cheats",
        group="quality",
        what="tricks that rank below every honest result of level 2",
        unit="%",
        floor=100,
        better="higher",
    ),
    Goal(
        id="quality.psnr",
        group="quality",
        what="distance from the published PSNR of the carphone pair",
        unit="dB",
        floor=0.01,
        better="lower",
    ),
    Goal(
        id="quality.ssim",
        group="quality",
        what="distance from the published SSIM of the carphone pair",
        unit="",
        floor=0.002,
        better="lower",
    ),
    Goal(
        id="quality.cpu",
        group="quality",
        what="CPU to score 10 s of 720p",
        unit="s",
        floor=8,
        better="lower",
    ),
    Goal(
        id="quality.memory",
        group="quality",
        what="memory to score 10 s of 720p",
        unit="MiB",
        floor=700,
        better="lower",
    ),
    Goal(
        id="analysis.effects",
        group="analysis",
        what="kinds of effect seen in three of four of the clips reported",
        unit="kinds",
        floor=13,
        better="higher",
    ),
    Goal(
        id="analysis.false_alarms",
        group="analysis",
        what="effects seen in untouched clips that are not there",
        unit="%",
        floor=5,
        better="lower",
    ),
    Goal(
        id="analysis.look",
        group="analysis",
        what="look recognised against the input, 14 looks, films not learnt from",
        unit="share",
        floor=0.85,
        better="higher",
    ),
    Goal(
        id="analysis.style",
        group="analysis",
        what="look recognised without the input",
        unit="share",
        floor=0.6,
        better="higher",
    ),
    Goal(
        id="analysis.cpu",
        group="analysis",
        what="CPU to analyse 10 s of 720p",
        unit="s",
        floor=6,
        better="lower",
    ),
    Goal(
        id="shots.f1",
        group="shots",
        what="cuts of composed clips, F1 at one frame",
        unit="",
        floor=0.95,
        better="higher",
    ),
    Goal(
        id="shots.gradual",
        group="shots",
        what="share of dissolves, fades and wipes that is found",
        unit="",
        floor=0.8,
        better="higher",
    ),
    Goal(
        id="shots.fooled",
        group="shots",
        what="flashes, captions, whips and the like taken for a new shot",
        unit="%",
        floor=15,
        better="lower",
    ),
    Goal(
        id="shots.offset",
        group="shots",
        what="how far a found cut is from its place, mean",
        unit="frames",
        floor=0.2,
        better="lower",
    ),
    Goal(
        id="shots.real",
        group="shots",
        what="cuts missed or made up in four real clips",
        unit="cuts",
        floor=0,
        better="lower",
    ),
    Goal(
        id="shots.cpu",
        group="shots",
        what="CPU to find the shots of 10 s of 720p, beyond decoding",
        unit="s",
        floor=2,
        better="lower",
    ),
    Goal(
        id="renderer.passthrough",
        group="renderer",
        what="decode and encode 60 frames of 360p, CPU / a real server's",
        unit="ratio",
        floor=1,
        better="lower",
        peer="ComfyUI 0.33.0 on a CPU, as recorded",
        peer_unit="s",
    ),
    Goal(
        id="renderer.invert",
        group="renderer",
        what="invert, CPU / a real server's",
        unit="ratio",
        floor=1,
        better="lower",
        peer="ComfyUI 0.33.0 on a CPU, as recorded",
        peer_unit="s",
    ),
    Goal(
        id="renderer.blur",
        group="renderer",
        what="blur of radius 4, CPU / a real server's",
        unit="ratio",
        floor=0.8,
        better="lower",
        peer="ComfyUI 0.33.0 on a CPU, as recorded",
        peer_unit="s",
    ),
    Goal(
        id="renderer.sharpen",
        group="renderer",
        what="sharpen, CPU / a real server's",
        unit="ratio",
        floor=0.8,
        better="lower",
        peer="ComfyUI 0.33.0 on a CPU, as recorded",
        peer_unit="s",
    ),
    Goal(
        id="renderer.soft_light",
        group="renderer",
        what="blur and soft light, CPU / a real server's",
        unit="ratio",
        floor=0.5,
        better="lower",
        peer="ComfyUI 0.33.0 on a CPU, as recorded",
        peer_unit="s",
    ),
    Goal(
        id="renderer.color_transfer",
        group="renderer",
        what="colour transfer in Lab, CPU / a real server's",
        unit="ratio",
        floor=0.35,
        better="lower",
        peer="ComfyUI 0.33.0 on a CPU, as recorded",
        peer_unit="s",
    ),
    Goal(
        id="renderer.memory",
        group="renderer",
        what="peak RSS over a minute of 1080p, blur and soft light",
        unit="MiB",
        floor=1024,
        better="lower",
    ),
)

GROUPS: Final = tuple(dict.fromkeys(each.group for each in GOALS))


class UnknownGroupError(ValueError):
    """Nobody measures that."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such group: {name}; there are {', '.join(GROUPS)}")


def goals_of(group: str) -> list[Goal]:
    """Return what a group measures.

    Raises:
        UnknownGroupError: there is none of that name.
    """
    found = [each for each in GOALS if each.group == group]
    if not found:
        raise UnknownGroupError(group)
    return found
