"""Images, judged as pixels."""

from matplotlib.image import imread


def assert_good_png(path, *, least_height=400):
    pixels = imread(path)[..., :3]
    height, width, _ = pixels.shape
    assert least_height <= height <= 2000
    assert 600 <= width <= 2000
    assert 5_000 <= path.stat().st_size <= 2_000_000
    white = (pixels > 0.99).all(axis=-1)
    assert 0.01 < 1 - white.mean() < 0.95  # neither blank nor filled
    assert white[:3].mean() > 0.9  # nothing is cut off at the edges
    assert white[-3:].mean() > 0.9
    assert white[:, :3].mean() > 0.9
    assert white[:, -3:].mean() > 0.9
