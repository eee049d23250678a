"""What can go wrong while a graph runs. The client sees these as ``execution_error``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self


class RendererError(Exception):
    """A node could not do its work."""


class InterruptedRunError(Exception):
    """Somebody asked for this run to stop; not a failure of a node."""


class OutOfMemoryBudgetError(RendererError):
    """The images of a run would not fit into the memory set aside for them."""

    def __init__(self, *, needed: int, budget: int) -> None:
        self.needed = needed
        self.budget = budget
        super().__init__(
            f"out of memory budget: {needed / 2**20:.0f} MiB of images needed,"
            f" {budget / 2**20:.0f} MiB allowed; cut the clip into pieces or make it smaller"
        )


class OutOfMemoryError(RendererError):
    """The GPU has no memory left, in the words of torch and with the advice of real servers."""

    told_as = "torch.OutOfMemoryError"

    def __init__(self, *, free: int, total: int) -> None:
        super().__init__(
            "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
            f"Currently allocated     : {(total - free) / 2**30:.2f} GiB\n"
            f"Device limit            : {total / 2**30:.2f} GiB\n"
            f"Free (according to CUDA): {free} bytes\n"
            "This error means you ran out of memory on your GPU.\n\n"
            "TIPS: If the workflow worked before you might have accidentally set the"
            " batch_size to a large number."
        )


class MissingModelError(RendererError):
    """A model file was there when the graph was accepted, and is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such model: {name}")


class MissingInputError(RendererError):
    """A choice that does not exist was not checked, and the node misses it."""

    told_as = "TypeError"

    def __init__(self, class_type: str, name: str) -> None:
        super().__init__(f"{class_type}.execute() missing 1 required positional argument: {name!r}")


class AbandonedRunError(InterruptedRunError):
    """The server stops, and what its run waited for will not come."""


class KilledError(BaseException):
    """A server inside a test was killed; nothing may catch this but whoever started it."""


class SizeMismatchError(RendererError):
    """Two inputs that must agree in size or number do not."""

    told_as = "RuntimeError"

    @classmethod
    def of_planes(cls, shapes: Sequence[tuple[int, ...]]) -> Self:
        """Return what torch says of planes that differ in size."""
        for at, shape in enumerate(shapes):
            for wanted, given in zip(shapes[0], shape, strict=False):
                if wanted != given:
                    return cls(
                        "Sizes of tensors must match except in dimension 3. Expected size"
                        f" {wanted} but got size {given} for tensor number {at} in the list."
                    )
        return cls(f"planes of different kinds: {list(shapes)}")


class RadiusTooLargeError(RendererError):
    """A blur reaches farther than the image is wide, so its edge cannot be mirrored."""

    def __init__(self, *, radius: int, width: int, height: int) -> None:
        super().__init__(
            f"padding size should be less than the image side, got radius {radius}"
            f" for {width}x{height}"
        )


class MissingChannelError(RendererError):
    """The image has no such channel."""


class OddSizeError(RendererError):
    """H.264 with 4:2:0 colour needs an even width and height; its encoder says no more than so."""

    told_as = "av.error.ExternalError"

    def __init__(self, *, width: int, height: int) -> None:
        self.width = width
        self.height = height
        super().__init__(
            "[Errno 542398533] Generic error in an external library:"
            " 'avcodec_open2(\"libx264\", {})'"
        )


class NoVideoError(RendererError):
    """The file holds no decodable frame."""


class UnsupportedError(RendererError):
    """The renderer does not know this choice."""

    told_as = "ValueError"


class OutsideFolderError(RendererError):
    """A name leads out of the folder it must stay in."""

    told_as = "Exception"


class PlannedFailureError(RendererError):
    """A test asked for this node to fail."""
