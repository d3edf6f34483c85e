import json
from collections import Counter

import numpy as np
from tests.data.synthetic.folders import files_of, message_of

from squared_emd.data.imagenet import load_imagenet
from squared_emd.data.synthetic.drawn_shapes import SHAPES, VERSION, cached_drawn_shapes, draw_image, draw_shapes

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
    pictures = [content for name, content in files_of(folder).items() if name.endswith(".JPEG")]
    assert len(set(pictures)) == 22


def test_what_else_lies_in_the_folder(tmp_path):
    folder = draw_shapes(tmp_path / "drawn", **FEW)
    readme = (folder / "README.txt").read_text()
    assert readme.startswith("These are drawn shapes and no photographs")
    assert readme.endswith(
        "The classes have no order:\nn00000001 arrow\nn00000002 checks\nn00000003 crescent\nn00000004 cross\n"
        "n00000005 disc\nn00000006 dots\n"
    )
    said = json.loads((folder / "prepared.json").read_text())
    assert said["settings"] == {
        "pictures": "shapes", "version": VERSION, "num_classes": 6, "num_train": 15, "num_validation": 7, "size": 24,
        "seed": 0,
    }  # fmt: skip
    assert said["files"] == 22 + 1  # pictures and README.txt
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "prepared.json", "train", "val"]


def test_same_seed_same_bytes(tmp_path):
    first = files_of(draw_shapes(tmp_path / "first", **FEW, seed=5))
    assert files_of(draw_shapes(tmp_path / "second", **FEW, seed=5)) == first
    other = files_of(draw_shapes(tmp_path / "other", **FEW, seed=6))
    assert not {other[name] for name in other if name.endswith(".JPEG")} & set(first.values())


def test_a_complete_set_is_used_again_and_another_refused(tmp_path):
    folder = draw_shapes(tmp_path / "drawn", **FEW)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert draw_shapes(str(folder), **FEW) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    found = json.loads((folder / "prepared.json").read_text())["settings"]
    assert message_of(FileExistsError, draw_shapes, folder, **FEW, seed=1) == (
        f"{folder} holds prepared images with the settings {found}, required are {found | {'seed': 1}}. "
        "Give another folder, or move that one away."
    )


def test_cached_shapes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cached_drawn_shapes(num_train=20, num_validation=21)
    assert folder == tmp_path / "squared-emd" / f"drawn_shapes_20_21_v{VERSION}"
    dataset = load_imagenet(folder)
    assert Counter(dataset["split"]) == {"train": 20, "validation": 21}
    assert len(dataset.features["label"].names) == 20


def test_numbers_that_do_not_fit(tmp_path):
    for number in (1, 21):
        assert message_of(ValueError, draw_shapes, tmp_path / "drawn", num_classes=number) == (
            f"num_classes must be 2 to 20, got {number}."
        )
    assert message_of(ValueError, draw_shapes, tmp_path / "drawn", num_train=19) == (
        "Each class needs an image: num_train must be at least 20, got 19."
    )
    assert message_of(ValueError, draw_shapes, tmp_path / "drawn", num_classes=3, num_validation=2) == (
        "Each class needs an image: num_validation must be at least 3, got 2."
    )
    assert message_of(ValueError, draw_shapes, tmp_path / "drawn", size=15) == (
        "size must be at least 16 pixels, got 15."
    )
    assert list(tmp_path.iterdir()) == []


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


def test_the_order_says_nothing_of_the_looks():
    shapes, *_ = masks()
    flat = np.stack([mask.ravel() for mask in shapes.values()]).astype(float)
    first, second = np.triu_indices(20, 1)
    apart = np.linalg.norm(flat[first] - flat[second], axis=1)
    assert abs(np.corrcoef(apart, second - first)[0, 1]) < 4 / np.sqrt(len(apart))


def nowhere(x, y, r, a):
    return np.zeros(x.shape, bool)


def test_all_but_the_shape_is_drawn_without_regard_to_it():
    for seed in range(5):
        states = []
        for where in (nowhere, SHAPES["ring"], SHAPES["cross"]):
            rng = np.random.default_rng(seed)
            picture = np.asarray(draw_image(where, rng, 48)).astype(int)
            states.append((picture, rng.bit_generator.state))
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
        assert differs.mean() > 0.05  # a disc of radius 0.8 has at least 0.16 of the picture; some of it is covered
        shares.append(differs.mean())
    assert max(shares) < 0.4
