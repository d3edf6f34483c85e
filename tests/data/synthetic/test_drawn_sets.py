"""What all drawn sets share: the same bytes for the same seed, what lies beside the images, and what is refused."""

import json

import pytest
from tests.data.files import files_of
from tests.errors import message_of

from squared_emd.data.synthetic.drawn_compositions import draw_compositions
from squared_emd.data.synthetic.drawn_people import draw_faces, draw_groups
from squared_emd.data.synthetic.drawn_shapes import draw_shapes

SHAPES = {"num_classes": 6, "num_train": 15, "num_validation": 7}
# how it is drawn -> its options, the size of its images if it has one, their number, that of the other files
SETS = {
    draw_faces: ({"num_faces": 98}, 16, 98, 7),
    draw_groups: ({"num_train": 14, "num_test": 7}, None, 4, 14),
    draw_compositions: ({"num_train": 12, "num_test": 5}, 16, 17, 3),
    draw_shapes: (SHAPES, 16, 22, 1),
}


@pytest.mark.parametrize("draw", SETS)
def test_the_same_seed_gives_the_same_bytes(draw, tmp_path, monkeypatch):
    options, size, num_images, num_others = SETS[draw]
    options = options | ({"size": size} if size else {})
    folder = draw(tmp_path / "first", **options, seed=5)
    first = files_of(folder)
    images = [data for name, data in first.items() if name.lower().endswith((".jpg", ".jpeg"))]
    assert len(set(images)) == len(images)
    assert num_images == len(images)
    said = json.loads(first["prepared.json"])
    assert said["files"] == len(first) - 1 == len(images) + num_others
    kind = draw.__name__.removeprefix("draw_")
    noise = {"noise": 0.4} if kind in ("faces", "groups") else {}
    settings = {name.removeprefix("num_") if kind == "compositions" else name: options[name] for name in options}
    version = 2 if kind == "faces" else 1
    assert said["settings"] == {"pictures": kind, "version": version, **settings, "seed": 5, **noise}
    assert b" and no photographs: " in first["README.txt"]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where it goes if no folder is named
    cached = draw(**options, seed=5)
    assert cached.parent == tmp_path / "squared-emd" and cached.name.startswith(f"drawn_{kind}_")
    assert files_of(cached) == first
    other = draw(**options, seed=6)
    assert other != cached
    assert not set(images) & set(files_of(other).values())
    assert draw(str(folder), **options, seed=5) == folder and files_of(folder) == first


SMALL = "size must be at least 16 pixels, got 15."
MULTIPLE = "must be a positive multiple of 7, the number of groups, got"


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (draw_faces, {"num_faces": 97},
         "Each group needs a face in each fold: num_faces must be at least 98, got 97."),
        (draw_faces, {"size": 15}, SMALL),
        (draw_groups, {"num_train": 71}, f"num_train {MULTIPLE} 71."),
        (draw_groups, {"num_test": 0}, f"num_test {MULTIPLE} 0."),
        (draw_groups, {"num_test": -7}, f"num_test {MULTIPLE} -7."),
        (draw_compositions, {"num_train": 0},
         "num_train and num_test must be at least 1, got 0 and 300."),
        (draw_compositions, {"num_test": -1},
         "num_train and num_test must be at least 1, got 1200 and -1."),
        (draw_compositions, {"size": 15}, SMALL),
        (draw_shapes, {"num_classes": 1}, "num_classes must be 2 to 20, got 1."),
        (draw_shapes, {"num_classes": 21}, "num_classes must be 2 to 20, got 21."),
        (draw_shapes, {"num_train": 19},
         "Each class needs an image: num_train must be at least 20, got 19."),
        (draw_shapes, {"num_classes": 3, "num_validation": 2},
         "Each class needs an image: num_validation must be at least 3, got 2."),
        (draw_shapes, {"size": 15}, SMALL),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit(draw, options, message, tmp_path):
    assert message_of(ValueError, draw, tmp_path / "drawn", **options) == message
    assert list(tmp_path.iterdir()) == []
