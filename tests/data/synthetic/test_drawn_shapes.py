from collections import Counter

import numpy as np

from squared_emd.data.imagenet import load_imagenet
from squared_emd.data.synthetic.drawn_shapes import SHAPES, draw_image, draw_shapes

FEW = {"num_classes": 6, "num_train": 15, "num_validation": 7, "size": 24}


def masks(side=80):
    """Each shape upright and alone, in the square from -1.25 to 1.25."""
    y, x = (np.mgrid[:side, :side] + 0.5) * 2.5 / side - 1.25
    return {name: where(x, y, np.hypot(x, y), np.arctan2(y, x)) for name, where in SHAPES.items()}, x, y


def test_loads_as_imagenet(tmp_path):
    folder = draw_shapes(tmp_path / "drawn", **FEW)
    dataset = load_imagenet(folder)
    assert dataset.features["label"].names == [f"n0000000{k}" for k in range(1, 7)]
    assert all(image.size == (24, 24) and image.mode == "RGB" for image in dataset["image"])
    # 15 of six classes are two or three each, 7 are one or two.
    assert Counter(zip(dataset["split"], dataset["label"], strict=True)) == {
        **{("train", k): 3 if k < 3 else 2 for k in range(6)},
        **{("validation", k): 2 if k < 1 else 1 for k in range(6)},
    }
    classes = (folder / "README.txt").read_text().partition("The classes have no order:\n")[2].splitlines()
    assert classes == [f"n{k:08d} {name}" for k, name in enumerate(list(SHAPES)[:6], start=1)]
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "prepared.json", "train", "val"]


def test_shapes_differ_and_fill_the_same_room():
    shapes, x, y = masks()
    assert list(shapes) == sorted(shapes) and len(shapes) == 20
    for name, mask in shapes.items():
        assert 0.1 < mask.sum() * (2.5 / 80) ** 2 / np.pi < 0.95, name  # as a share of a disc of radius 1
        assert 0.75 < np.hypot(x, y)[mask].max() < 1.3, name
    flat = np.stack([mask.ravel() for mask in shapes.values()]).astype(float)  # (20, pixels)
    shared = flat @ flat.T
    union = flat.sum(1)[:, None] + flat.sum(1) - shared
    overlap = shared / union - np.eye(20)
    assert overlap.max() < 0.8


def nowhere(x, y, r, a):
    return np.zeros(x.shape, bool)


def test_all_but_the_shape_is_drawn_without_regard_to_it():
    for seed in range(5):
        states = []
        for where in (nowhere, SHAPES["ring"], SHAPES["cross"]):
            rng = np.random.default_rng(seed)
            image = np.asarray(draw_image(where, rng, 48)).astype(int)
            states.append((image, rng.bit_generator.state))
        (empty, end), (ring, ring_end), (cross, cross_end) = states
        assert end == ring_end == cross_end
        shape = abs(ring - cross).max(-1) > 0  # (48, 48)
        assert 0.02 < shape.mean() < 0.7
        corners = np.ix_((0, 1, -2, -1), (0, 1, -2, -1))
        np.testing.assert_array_equal(empty[corners], ring[corners])
        np.testing.assert_array_equal(empty[corners], cross[corners])


def test_a_shape_stands_out_from_what_is_behind_it():
    def disc(x, y, r, a):
        return r < 0.8

    shares = []
    for seed in range(40):
        with_it, without = (
            np.asarray(draw_image(where, np.random.default_rng(seed), 48)).astype(float) for where in (disc, nowhere)
        )
        differs = abs(with_it - without).max(-1) > 30
        assert differs.mean() > 0.05  # a disc of radius 0.8 has at least 0.16 of the image; some of it is covered
        shares.append(differs.mean())
    assert max(shares) < 0.4
