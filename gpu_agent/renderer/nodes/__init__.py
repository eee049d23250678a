"""The nodes: which class is worked by which function.

``values`` is what travels along links, ``context`` what a node is given; the rest are the nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gpu_agent.renderer.nodes import effects, geometry, masks, stills, video
from gpu_agent.renderer.nodes.context import NodeFunction

NODES: Final[Mapping[str, NodeFunction]] = {
    "LoadVideo": video.load_video,
    "GetVideoComponents": video.components,
    "CreateVideo": video.create,
    "SaveVideo": video.save,
    "LoadImage": stills.load_image,
    "SaveImage": stills.save_image,
    "PreviewImage": stills.preview_image,
    "EmptyImage": geometry.empty_image,
    "ImageFromBatch": geometry.from_batch,
    "RepeatImageBatch": geometry.repeat,
    "ImageBatch": geometry.join,
    "GetImageSize": geometry.size,
    "ImageScale": geometry.scale,
    "ImageScaleBy": geometry.scale_by,
    "ImageCrop": geometry.crop,
    "ImageFlip": geometry.flip,
    "ImageRotate": geometry.rotate,
    "ResizeAndPadImage": geometry.pad,
    "ImageStitch": geometry.stitch,
    "ImageInvert": effects.invert,
    "ImageBlur": effects.blur,
    "ImageSharpen": effects.sharpen,
    "ImageBlend": effects.blend,
    "AdjustBrightness": effects.brightness,
    "AdjustContrast": effects.contrast,
    "ImageAddNoise": effects.noise,
    "Morphology": effects.morphology,
    "ColorTransfer": effects.color_transfer,
    "ImageRGBToYUV": effects.rgb_to_yuv,
    "ImageYUVToRGB": effects.yuv_to_rgb,
    "ImageCompositeMasked": masks.composite,
    "SolidMask": masks.solid,
    "FeatherMask": masks.feather,
    "ImageToMask": masks.from_image,
    "ThresholdMask": masks.threshold,
    "GrowMask": masks.grow,
    "InvertMask": masks.invert,
    "MaskToImage": masks.to_image,
}
