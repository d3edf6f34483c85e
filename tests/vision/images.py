"""Images that the tests of the vision package make."""

import io

import numpy as np

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # a mean and deviations that change nothing
ORIENTATION = 0x0112  # the EXIF tag


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 95, "subsampling": 0} | options)
    return {"bytes": file.getvalue(), "path": "folder/image.jpg"}
