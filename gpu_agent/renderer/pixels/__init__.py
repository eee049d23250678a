"""Pure pixel arithmetic in float32, one image at a time, in the order ComfyUI computes it.

``scaling`` resamples, ``filters`` looks at neighbours, ``blending`` mixes two images,
``grading`` moves colours between images.
"""
