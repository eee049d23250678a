"""What can go wrong while a graph runs. The client sees these as ``execution_error``."""

from __future__ import annotations


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


class SizeMismatchError(RendererError):
    """Two inputs that must agree in size or number do not."""


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
    """H.264 with 4:2:0 colour needs an even width and height."""

    def __init__(self, *, width: int, height: int) -> None:
        super().__init__(f"width and height must be even for h264, got {width}x{height}")


class NoVideoError(RendererError):
    """The file holds no decodable frame."""


class UnsupportedError(RendererError):
    """The renderer does not know this choice."""


class OutsideFolderError(RendererError):
    """A name leads out of the folder it must stay in."""


class PlannedFailureError(RendererError):
    """A test asked for this node to fail."""
