"""Files a stranger may send: made on the spot, the same bytes for the same seed.

Each case names the one answer that is right: a code, or ``OK`` and what must have been measured.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
import wave
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.frame import VideoFrame
from msgspec import Struct

from tests.integration.video_intake.footage import (
    cut,
    tone,
    write_clip,
    write_sound,
    write_still,
)

OK: Final = "OK"
SEED: Final = 20260301
Make = Callable[[Path, random.Random], Path]


class Case(Struct, frozen=True, kw_only=True):
    """One file: how it is made, its right answer, and if it is taken, its size and length."""

    name: str
    make: Make
    code: str
    resolution: str = ""
    duration_ms: int = 0


def made(case: Case, path: Path) -> Path:
    """Write the file of a case."""
    return case.make(path, random.Random(f"{SEED} {case.name}"))


def written(content: bytes) -> Make:
    """Return what writes these bytes."""

    def make(path: Path, _: random.Random) -> Path:
        path.write_bytes(content)
        return path

    return make


def clip(**how: object) -> Make:
    """Return what writes a clip; see ``write_clip``."""
    return lambda path, _: write_clip(path, **how)  # type: ignore[arg-type]  # passed on as it is


def shortened(share: float, **how: object) -> Make:
    """Return what writes a clip of 25 pictures and cuts it off."""
    return lambda path, _: cut(write_clip(path, frames=25, **how), share)  # type: ignore[arg-type]


def patched(old: bytes, new: bytes, *, count: int = -1, **how: object) -> Make:
    """Return what writes a clip and replaces some of its bytes by as many others."""
    assert len(old) == len(new)

    def make(path: Path, _: random.Random) -> Path:
        content = write_clip(path, **how).read_bytes()  # type: ignore[arg-type]  # passed on
        assert old in content
        path.write_bytes(content.replace(old, new, count))
        return path

    return make


def overwritten(after: bytes, skip: int, new: bytes, **how: object) -> Make:
    """Return what writes a clip and puts bytes so far after the first place of a name."""

    def make(path: Path, _: random.Random) -> Path:
        content = bytearray(write_clip(path, frames=25, **how).read_bytes())  # type: ignore[arg-type]
        at = content.index(after) + len(after) + skip
        content[at : at + len(new)] = new
        path.write_bytes(content)
        return path

    return make


def flipped(box: bytes, share: float) -> Make:
    """Return what writes a clip and flips a bit in some of the bytes of one box."""

    def make(path: Path, dice: random.Random) -> Path:
        content = bytearray(write_clip(path, frames=25, size=(320, 180)).read_bytes())
        at = content.index(box)
        size = struct.unpack_from(">I", content, at - 4)[0]
        for place in range(at + 4, min(at - 4 + size, len(content))):
            if dice.random() < share:
                content[place] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
        return path

    return make


def together(*parts: Make) -> Make:
    """Return what writes several files, one after the other, into one."""

    def make(path: Path, dice: random.Random) -> Path:
        path.write_bytes(b"".join(part(path, dice).read_bytes() for part in parts))
        return path

    return make


def playlist(content: str) -> Make:
    """Return what writes a script that names other files, one of which is there."""

    def make(path: Path, _: random.Random) -> Path:
        victim = write_clip(path.with_name("victim.ts"), container="mpegts")
        path.write_text(content.replace("ABSOLUTE", str(victim)))
        return path

    return make


def zipped(path: Path, _: random.Random) -> Path:
    """Write an archive with a clip in it."""
    inner = write_clip(path).read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.mp4", inner)
    return path


def waves(path: Path, _: random.Random) -> Path:
    """Write a sound without a container that could hold pictures."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(8000))
    return path


def large_png(path: Path, _: random.Random) -> Path:
    """Write two pictures of 144 million pixels each into a few kilobytes."""
    with av.open(str(path), "w", format="mov") as out:
        video = out.add_stream("png", rate=25)
        video.width, video.height, video.pix_fmt = 12_000, 12_000, "monob"
        for index in range(2):
            frame = VideoFrame(12_000, 12_000, "monob")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def many_frames(path: Path, _: random.Random) -> Path:
    """Write more tiny pictures than a minute may hold."""
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("mpeg4", rate=500)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        frame = VideoFrame(16, 16, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for index in range(7_300):
            frame.pts, frame.time_base = index, Fraction(1, 500)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def many_streams(path: Path, _: random.Random) -> Path:
    """Write a clip with forty tracks."""
    with av.open(str(path), "w", format="mp4") as out:
        videos = [out.add_stream("mpeg4", rate=25) for _ in range(40)]
        for video in videos:
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for index in range(6):
            for video in videos:
                frame = VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                frame.pts = index
                out.mux(video.encode(frame))
        for video in videos:
            out.mux(video.encode(None))
    return path


def covered_sound(path: Path, _: random.Random) -> Path:
    """Write a song with the picture of its sleeve."""
    still = write_still(path.with_name("sleeve"), "mjpeg").read_bytes()
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=44_100, layout="mono")
        sleeve = out.add_stream("mjpeg", rate=1)
        sleeve.width, sleeve.height, sleeve.pix_fmt = 160, 90, "yuvj420p"
        sleeve.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(still)
        packet.stream, packet.pts, packet.dts, packet.time_base = sleeve, 0, 0, Fraction(1, 1)
        out.mux(packet)
        for piece in tone(0.5):
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
    return path


def sound_of(container: str) -> Make:
    """Return what writes a sound in a container that may hold pictures too."""

    def make(path: Path, _: random.Random) -> Path:
        with av.open(str(path), "w", format=container) as out:
            sound = out.add_stream("aac", rate=44_100, layout="mono")
            for piece in tone(0.5):
                out.mux(sound.encode(piece))
            out.mux(sound.encode(None))
        return path

    return make


def still(container: str, codec: str, pixel_format: str) -> Make:
    """Return what writes one picture."""
    return clip(frames=1, container=container, codec=codec, pixel_format=pixel_format)


def animated_webp(path: Path, _: random.Random) -> Path:
    """Write a moving picture of a kind that is not taken."""
    return write_clip(path, container="webp", codec="libwebp_anim", pixel_format="yuv420p")


def nested(depth: int) -> bytes:
    """Return boxes within boxes."""
    content = b""
    for _ in range(depth):
        content = struct.pack(">I4s", len(content) + 8, b"moov") + content
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + content


def sparse(size: int) -> Make:
    """Return what writes zeros that take no room."""

    def make(path: Path, _: random.Random) -> Path:
        with path.open("wb") as file:
            file.truncate(size)
        return path

    return make


def of_raw_size(width: int, height: int) -> Make:
    """Return what writes raw pictures whose header alone says how large they are, and lies."""
    true = struct.pack("<II", 160, 90)
    return patched(
        true, struct.pack("<II", width, height), codec="rawvideo", container="avi", frames=6
    )


def bitmap() -> bytes:
    """Return a picture of one dot."""
    body = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0) + bytes(4)
    return struct.pack("<2sIHHI", b"BM", 14 + len(body), 0, 0, 54) + body


def gzipped(path: Path, _: random.Random) -> Path:
    """Write a clip that was packed once more."""
    content = write_clip(path).read_bytes()
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(content)
    path.write_bytes(packed.getvalue())
    return path


def elsewhere(path: Path, _: random.Random) -> Path:
    """Write a clip whose pictures are said to be in another file, which is there."""
    victim = write_clip(path.with_name("victim.mov"), container="mov")
    content = write_clip(path, container="mov").read_bytes()
    at = content.index(b"dref") - 4
    old = content[at : at + struct.unpack_from(">I", content, at)[0]]
    named = str(victim).encode().ljust(len(str(victim)) + len(str(victim)) % 2, b"\0")
    # an alias as the Macintosh wrote it: nothing of note, then the whole path, then the end
    alias = bytes(10 + 28 + 12 + 64 + 16) + struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(str(victim))) + named + b"\xff\xff\0\0"
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    new = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    larger = bytearray(content.replace(old, new))
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = larger.index(box) - 4
        if box == b"minf":
            place = larger.index(b"vmhd") - 12
        size = struct.unpack_from(">I", larger, place)[0]
        struct.pack_into(">I", larger, place, size + len(new) - len(old))
    path.write_bytes(larger)
    return path


HLS: Final = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
MPD: Final = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>victim.ts</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>\n'
HTML: Final = "<!doctype html><script>alert(document.cookie)</script>\n"
SDP: Final = "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"


def _refused(code: str, cases: dict[str, Make]) -> tuple[Case, ...]:
    return tuple(Case(name=name, make=make, code=code) for name, make in cases.items())


def _taken(cases: dict[str, tuple[Make, str, int]]) -> tuple[Case, ...]:
    return tuple(
        Case(name=name, make=make, code=OK, resolution=resolution, duration_ms=duration)
        for name, (make, resolution, duration) in cases.items()
    )


CASES: Final = (
    *_refused("EMPTY_FILE", {"empty": written(b"")}),
    *_refused("TOO_LARGE", {"half a gigabyte and a byte": sparse(500_000_001)}),
    *_refused(
        "NOT_A_VIDEO",
        {
            "text": written(b"not a film\n" * 200),
            "terminal art": written(b"\x1b[31mred\x1b[2J" * 100),
            "noise": lambda path, dice: written(dice.randbytes(20_000))(path, dice),
            "zeros": sparse(10_000_000),
            "playlist of a neighbour": playlist(HLS.format("victim.ts")),
            "playlist of a path": playlist(HLS.format("ABSOLUTE")),
            "playlist of a password file": playlist(HLS.format("file:///etc/passwd")),
            "playlist of an address": playlist(HLS.format("http://127.0.0.1:9/x.ts")),
            "concat script": playlist("ffconcat version 1.0\nfile victim.ts\n"),
            "streaming manifest": playlist(MPD),
            "session description": playlist(SDP),
            "svg": written(SVG.encode()),
            "html": written(HTML.encode()),
            "html with a clip behind it": together(written(HTML.encode() * 40), clip()),
            "pdf": written(b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n" * 50),
            "program": written(b"\x7fELF\x02\x01\x01" + bytes(2000)),
            "script": written(b"#!/bin/sh\nrm -rf ~\n" * 20),
            "archive": zipped,
            "packed clip": gzipped,
            "subtitles": written(b"1\n00:00:00,000 --> 00:00:09,000\n<b>hello</b>\n\n" * 20),
            "json": written(b'{"a": [1, 2, 3]}' * 100),
            "waves": waves,
            "song": sound_of("adts"),
            "nut": clip(container="nut"),
            "raw h264": clip(container="h264"),
            "y4m": clip(container="yuv4mpegpipe", codec="wrapped_avframe"),
            "animated webp": animated_webp,
        },
    ),
    *_refused(
        "NO_PICTURE",
        {
            "sound in mp4": lambda path, _: write_sound(path),
            "sound in matroska": sound_of("matroska"),
            "sound with a sleeve": covered_sound,
        },
    ),
    *_refused(
        "TOO_FEW_FRAMES",
        {
            "png": lambda path, _: write_still(path, "png"),
            "jpeg": lambda path, _: write_still(path, "mjpeg"),
            "bmp": written(bitmap()),
            "webp": still("webp", "libwebp", "yuv420p"),
            "gif of one picture": still("gif", "gif", "rgb8"),
            "one picture": clip(frames=1),
            "four pictures": clip(frames=4),
        },
    ),
    *_refused("TOO_SHORT", {"a tenth of a second": clip(frames=6, rate=Fraction(60))}),
    *_refused(
        "TOO_LONG",
        {
            "a minute and a bit": clip(times_ms=[0, 40, 80, 120, 160, 60_100]),
            "ten hours apart": clip(times_ms=[0, 36_000_000]),
        },
    ),
    *_refused("TOO_MANY_FRAMES", {"thousands of tiny pictures": many_frames}),
    *_refused("ZERO_SIZE", {"no size": of_raw_size(0, 0)}),
    *_refused("TOO_SMALL", {"eight by eight": clip(size=(8, 8)), "a hair": clip(size=(1000, 8))}),
    *_refused(
        "TOO_MANY_PIXELS",
        {"large png in mov": large_png, "a header that boasts": of_raw_size(16_000, 16_000)},
    ),
    *_refused(
        "TRUNCATED",
        {
            "cut, index last": shortened(0.7),
            "cut, index first": shortened(0.7, index_first=True),
            "cut early, index first": shortened(0.3, index_first=True),
            "cut matroska": shortened(0.6, container="matroska"),
            "cut webm": shortened(0.6, container="webm", codec="libvpx-vp9"),
            "cut avi": shortened(0.5, container="avi", codec="mjpeg", pixel_format="yuvj420p"),
            "nothing but a brand": written(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)),
            "boxes in boxes": written(nested(5_000)),
            "pictures in another file": elsewhere,
            "pictures wiped out": flipped(b"mdat", 1.0),
            "four billion samples": overwritten(b"stsz", 8, b"\xff\xff\xff\xff"),
        },
    ),
    *_refused(
        "UNREADABLE",
        {
            "encrypted": patched(b"avc1", b"encv"),
            "unknown codec": patched(b"avc1", b"zzzz"),
            "matroska without a body": written(b"\x1aE\xdf\xa3\x80"),
            "flash without a body": written(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"),
            "forty tracks": many_streams,
        },
    ),
    *_taken(
        {
            "ordinary": (clip(), "160x90", 480),
            "odd size": (clip(size=(161, 91), pixel_format="yuv444p"), "161x91", 480),
            "turned left": (clip(turn=90), "90x160", 480),
            "turned right": (clip(turn=-90), "90x160", 480),
            "upside down": (clip(turn=180), "160x90", 480),
            "oblong pixels": (clip(aspect=Fraction(4, 3)), "160x90", 480),
            "absurd pixels": (clip(aspect=Fraction(255, 1)), "160x90", 480),
            "variable rate": (clip(times_ms=[0, 33, 67, 100, 200, 300, 400]), "160x90", 467),
            "one frame a second": (clip(rate=Fraction(1), frames=6), "160x90", 6000),
            "a thousand frames a second": (
                clip(rate=Fraction(1000), frames=400, size=(32, 32)),
                "32x32",
                400,
            ),
            "pq, ten bits": (clip(pixel_format="yuv420p10le", transfer=16), "160x90", 480),
            "hlg, ten bits": (clip(pixel_format="yuv420p10le", transfer=18), "160x90", 480),
            "full range": (
                clip(container="avi", codec="mjpeg", pixel_format="yuvj420p"),
                "160x90",
                480,
            ),
            "grey": (clip(pixel_format="gray"), "160x90", 480),
            "see-through": (
                clip(container="mov", codec="qtrle", pixel_format="argb"),
                "160x90",
                480,
            ),
            "sound too long": (clip(sound_seconds=3.0), "160x90", 480),
            "sound too short": (clip(frames=20, sound_seconds=0.2), "160x90", 800),
            "late sound": (clip(sound_seconds=0.2, sound_from=0.2), "160x90", 480),
            "sound before the pictures": (
                clip(times_ms=range(2000, 2480, 40), sound_seconds=2.5),
                "160x90",
                480,
            ),
            "eight megabytes of title": (clip(title="x" * 8_000_000), "160x90", 480),
            "a title for the terminal": (
                clip(title="\x1b]0;owned\x07\x1b[2J<script>"),
                "160x90",
                480,
            ),
            "clip with an archive behind it": (together(clip(), zipped), "160x90", 480),
            "animated gif": (
                clip(container="gif", codec="gif", pixel_format="rgb8"),
                "160x90",
                480,
            ),
            "transport stream": (clip(container="mpegts"), "160x90", 480),
            "two sizes in one stream": (
                together(
                    clip(container="mpegts"),
                    clip(container="mpegts", size=(320, 180), times_ms=range(480, 960, 40)),
                ),
                "160x90",
                880,
            ),
            "a header of a hundred hours": (
                overwritten(b"mvhd", 16, struct.pack(">I", 360_000_000)),
                "160x90",
                1000,
            ),
            "a header of an instant": (
                overwritten(b"mvhd", 16, struct.pack(">I", 40)),
                "160x90",
                1000,
            ),
            "a few bits wrong": (flipped(b"mdat", 0.0005), "320x180", 1000),
        }
    ),
)
