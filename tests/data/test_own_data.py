import csv
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from PIL import Image

from squared_emd.data.own_data import load_own_data
from squared_emd.data.own_sources import SOURCES

DAMAGE = "cannot be decoded"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def picture(path, colour=(0, 0, 0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), colour).save(path)
    return path


def make_folder(root, counts):
    """`counts` says how many pictures each folder has."""
    for folder, count in counts.items():
        for i in range(count):
            picture(root / folder / f"{i}.png")
    return root


def make_csv(root, rows, name="data.csv"):
    """A CSV file of dictionaries, and the pictures that its first column names."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / name, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        picture(root / next(iter(row.values())))
    return root / name


def labelled(labels, **columns):
    return [
        {"image": f"{i}.png", "label": label, **{name: values[i] for name, values in columns.items()}}
        for i, label in enumerate(labels)
    ]


def make_dataset(columns, **features):
    size = len(next(iter(columns.values())))
    pictures = [Image.new("RGB", (4, 3), (i, 0, 0)) for i in range(size)]
    return Dataset.from_dict({"image": pictures, **columns}, features=Features({"image": datasets.Image(), **features}))


def names_of(own):
    return [own.class_names[label] for label in own.dataset["label"]]


def message_of(error, call, *args, **options):
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert caught.type is error
    return str(caught.value)


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("squared_emd")]


# Folders


def test_folder_of_classes(tmp_path, caplog):
    root = make_folder(tmp_path / "own", {"9": 5, "10": 10, "1": 5})
    own = load_own_data(root)
    assert own.class_names == ("1", "9", "10") and not own.soft
    assert own.dataset.features["label"] == ClassLabel(names=["1", "9", "10"])
    assert own.dataset.column_names == ["image", "label", "split"]
    assert names_of(own) == ["1"] * 5 + ["10"] * 10 + ["9"] * 5
    assert Counter(zip(names_of(own), own.dataset["split"], strict=True)) == {
        ("1", "train"): 4, ("1", "test"): 1, ("9", "train"): 4, ("9", "test"): 1, ("10", "train"): 8, ("10", "test"): 2,
    }  # fmt: skip
    assert own.dataset[0]["image"].size == (4, 3)
    assert said(caplog) == [
        f"{root} has no test split: 4 of its 20 training rows are one now, a fifth of each class, the same each time."
    ]
    assert load_own_data(root).dataset["split"][:] == own.dataset["split"][:]


def test_folder_with_splits(tmp_path, caplog):
    root = make_folder(
        tmp_path, {"train/a": 2, "train/b": 1, "val/a": 1, "test/b": 2, "test/a": 1, "validation/b": 1, "docs": 0}
    )
    own = load_own_data(root, classes=["b", "a"])
    assert list(zip(names_of(own), own.dataset["split"], strict=True)) == [
        ("a", "test"), ("b", "test"), ("b", "test"), ("a", "train"), ("a", "train"), ("b", "train"),
        ("a", "validation"), ("b", "validation"),
    ]  # fmt: skip
    assert own.dataset[3]["image"].filename == str(root / "train" / "a" / "0.png")
    assert said(caplog) == []


def test_validation_stays_where_a_test_split_is_cut(tmp_path):
    own = load_own_data(make_folder(tmp_path, {"train/a": 10, "train/b": 5, "val/a": 3, "val/b": 4}), ordered=False)
    assert Counter(zip(names_of(own), own.dataset["split"], strict=True)) == {
        ("a", "train"): 8, ("a", "test"): 2, ("a", "validation"): 3,
        ("b", "train"): 4, ("b", "test"): 1, ("b", "validation"): 4,
    }  # fmt: skip


def test_a_lone_split_is_none(tmp_path):
    own = load_own_data(make_folder(tmp_path, {"test/a": 5, "test/b": 5}), ordered=False)
    assert Counter(own.dataset["split"]) == {"train": 8, "test": 2}


def test_order_of_the_alphabet_is_said_where_order_matters(tmp_path, caplog):
    root = make_folder(tmp_path, {"train/low": 1, "train/high": 1, "test/mid": 1, "test/low": 1, "train/mid": 1})
    assert load_own_data(root).class_names == ("high", "low", "mid")
    assert said(caplog) == [
        f"{root} does not say in which order its classes are, taken is that of the alphabet: high, low, mid. If it is "
        "another, name the classes in their order with --classes (classes=...)."
    ]
    caplog.clear()
    assert load_own_data(root, ordered=False).class_names == ("high", "low", "mid")
    assert load_own_data(root, classes=["low", "mid", "high"]).class_names == ("low", "mid", "high")
    assert said(caplog) == []


def test_names_that_begin_with_a_number_are_in_its_order(tmp_path, caplog):
    root = make_folder(
        tmp_path, {f"{split}/{name}": 1 for split in ("train", "test") for name in ("10-19", "0-2", "3-9")}
    )
    assert load_own_data(root).class_names == ("0-2", "3-9", "10-19")
    assert said(caplog) == [
        f"{root} does not say in which order its classes are, taken is that of their first numbers: 0-2, 3-9, 10-19. "
        "If it is another, name the classes in their order with --classes (classes=...)."
    ]


def test_folders_without_pictures_are_said(tmp_path, caplog):
    root = make_folder(tmp_path, {"train/1": 2, "train/2": 2, "test/1": 1})
    (root / "test" / "2").mkdir()
    load_own_data(root)
    assert said(caplog) == [f"{root}: folders without pictures are left out: test/2."]


def test_a_class_to_train_on_is_missing(tmp_path, caplog):
    root = make_folder(tmp_path, {"train/1": 2, "train/2": 2, "test/3": 1})
    assert load_own_data(root, classes=[1, 2, 3, 4]).class_names == ("1", "2", "3", "4")
    assert said(caplog) == [f"{root} has no training row of the classes 3, 4."]


def test_folder_of_splits_and_classes(tmp_path):
    root = make_folder(tmp_path, {"train/a": 1, "train/b": 1, "c": 1})
    assert message_of(ValueError, load_own_data, root) == (
        f"{root} must hold folders of splits or of classes, it has both: train and c. Move one kind away."
    )


def test_folder_outside_the_classes(tmp_path):
    root = make_folder(tmp_path, {"a": 1, "b": 1, "c": 1})
    assert message_of(ValueError, load_own_data, root, classes=["a", "b"]) == (
        f"{root / 'c' / '0.png'}: the label must be one of a, b; got 'c'."
    )


def test_nothing_to_train_on(tmp_path):
    root = make_folder(tmp_path, {"val/1": 1, "val/2": 1, "test/1": 1})
    assert message_of(ValueError, load_own_data, root) == (
        f"{root} has no rows to train on, its splits are test, validation."
    )


def test_one_class(tmp_path):
    root = make_folder(tmp_path, {"1": 3})
    assert message_of(ValueError, load_own_data, root) == (
        f"{root} must have at least two classes, it has: 1. {SOURCES}."
    )


def test_too_few_rows_to_cut(tmp_path):
    root = make_folder(tmp_path, {"1": 1, "2": 1})
    assert message_of(ValueError, load_own_data, root) == (
        f"{root} has no test split, and its 2 training rows are too few, or of too few groups, to cut one off. Say "
        "which rows are to test on."
    )


@pytest.mark.parametrize("classes", [["a"], ["a", "a"], ["a", " "], ["1", "1.0"], "abc"])
def test_classes_that_are_none(tmp_path, classes):
    given = [classes] if isinstance(classes, str) else [name.strip() for name in classes]
    assert message_of(ValueError, load_own_data, tmp_path, classes=classes) == (
        f"classes must be at least two different names, got {given}."
    )


def damage(root):
    (root / "1" / "0.png").write_text("<html>")
    (root / "2" / "1.png").write_bytes((root / "2" / "1.png").read_bytes()[:45])


def test_damaged_pictures(tmp_path, caplog):
    root = make_folder(tmp_path, {"1": 6, "2": 6})
    damage(root)
    message = message_of(ValueError, load_own_data, root)
    assert message.startswith(
        f"2 of 12 pictures of {root} are absent or cannot be decoded, the first: {root / '1' / '0.png'} (not a "
        f"picture); {root / '2' / '1.png'} ({DAMAGE}: "
    )
    assert message.endswith(". Mend them, or leave them out with --skip_bad_images (skip_bad_images=True).")
    seen = []
    own = load_own_data(root, skip_bad_images=True, progress=lambda *at: seen.append(at))
    assert seen == [(i, 12) for i in range(1, 13)]
    assert names_of(own) == ["1"] * 5 + ["2"] * 5
    assert [Path(image.filename).name for image in own.dataset["image"]][:6] == [f"{i}.png" for i in (1, 2, 3, 4, 5, 0)]
    assert said(caplog)[0].startswith(
        f"2 of 12 pictures of {root} are absent or cannot be decoded and are left out, the first: "
    )


def test_only_damaged_pictures(tmp_path):
    file = make_csv(tmp_path, labelled([1, 2]))
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert message_of(ValueError, load_own_data, file, skip_bad_images=True) == (
        f"2 of 2 pictures of {file} are absent or cannot be decoded, the first: {tmp_path / '0.png'} (absent); "
        f"{tmp_path / '1.png'} (absent). Mend them."
    )


# CSV files


def test_csv_with_everything(tmp_path, caplog):
    rows = [
        {"path": "a/x.png", "label": "low", "split": "Train", "group": "p1", "other": "1"},
        {"path": "a/y.png", "label": " high", "split": "val", "group": "p2", "other": "2"},
        {"path": "../z.png", "label": "low", "split": "test", "group": "7", "other": "3"},
        {"path": "q.png", "label": "high", "split": "train", "group": "p1", "other": "4"},
    ]
    own = load_own_data(make_csv(tmp_path / "csv", rows), classes=["low", "high"])
    assert own.dataset.column_names == ["image", "label", "split", "group"]
    assert own.dataset["label"][:] == [0, 1, 0, 1]
    assert own.dataset["split"][:] == ["train", "validation", "test", "train"]
    assert own.dataset["group"][:] == ["p1", "p2", "7", "p1"]
    assert own.dataset[2]["image"].filename == str(tmp_path / "z.png")
    assert said(caplog) == []


def test_csv_with_named_columns(tmp_path):
    rows = [
        {"photo": f"{i}.png", "image": "no", "label": "x", "age": age, "who": who, "group": "same"}
        for i, (age, who) in enumerate([("10", "a"), ("9.0", "b"), ("9", "c"), ("10", "d")])
    ]
    own = load_own_data(make_csv(tmp_path, rows), image_column="photo", label_column="age", group_column="who")
    assert own.class_names == ("9", "10")
    assert names_of(own) == ["10", "9", "9", "10"]
    assert own.dataset["group"][:] == list("abcd")
    assert own.dataset[1]["image"].filename == str(tmp_path / "1.png")


def test_numbers_are_ordered_as_numbers(tmp_path, caplog):
    file = make_csv(tmp_path, labelled(["10", "-1", "2.5", "9", "010", "2.50"] * 2))
    own = load_own_data(file)
    assert own.class_names == ("-1", "2.5", "9", "10")
    assert own.dataset["label"][:6] == [3, 0, 1, 2, 3, 1]
    assert not any("alphabet" in text for text in said(caplog))
    own = load_own_data(file, classes=["9", "10.0", "-1", "2.5"])
    assert own.class_names == ("9", "10.0", "-1", "2.5")
    assert own.dataset["label"][:6] == [1, 2, 3, 0, 1, 3]


def test_one_label_that_is_no_number_makes_names_of_all(tmp_path):
    own = load_own_data(make_csv(tmp_path, labelled(["10", "9", "x"] * 2)))
    assert own.class_names == ("10", "9", "x")


def test_windows_file(tmp_path):
    file = make_csv(tmp_path, labelled([1, 2, 1, 2]))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"image,label", b"image, label"))
    assert file.read_bytes().count(b"\r\n") == 5
    assert load_own_data(file).dataset["label"][:] == [0, 1, 0, 1]


def test_votes(tmp_path):
    rows = [
        {"file_name": "a.png", "label": "?", "bad": "1", "good": "3", "fair": "0"},
        {"file_name": "b.png", "label": "?", "bad": "0.5", "good": "0", "fair": "0.5"},
        {"file_name": "c.png", "label": "?", "bad": "0", "good": "1e308", "fair": "1e308"},
        {"file_name": "d.png", "label": "?", "bad": "2", "good": "0", "fair": "0"},
    ]
    file = make_csv(tmp_path, rows)
    own = load_own_data(file, classes=["bad", "fair", "good"])
    assert own.soft and own.class_names == ("bad", "fair", "good")
    assert own.dataset.features["label"] == List(Value("float32"), length=3)
    np.testing.assert_array_equal(own.dataset["label"][:], [[0.25, 0, 0.75], [0.5, 0.5, 0], [0, 0.5, 0.5], [1, 0, 0]])
    # The likeliest class stands for a row: bad has b (the first of two equal ones) and d, of which one is cut off.
    assert Counter(own.dataset["split"][1:4:2]) == {"train": 1, "test": 1}
    assert own.dataset["split"][0] == own.dataset["split"][2] == "train"
    assert message_of(ValueError, load_own_data, file, classes=["bad", "fair", "good"], label_column="label") == (
        f"{file}, line 2: the label must be one of bad, fair, good; got '?'."
    )


@pytest.mark.parametrize("votes", ["0,0,0", "1,-1,3", "1,,3", "1,nan,3", "1,inf,3", "1,two,3"])
def test_votes_that_are_none(tmp_path, votes):
    file = tmp_path / "votes.csv"
    file.write_text(f"image,a,b,c\nx.png,1,2,3\ny.png,{votes}\n")
    assert message_of(ValueError, load_own_data, file, classes=list("abc")) == (
        f"{file}, line 3: a soft label must be 3 numbers, one for each of a, b, c, none negative and not all 0; got "
        f"{votes.replace(',', ', ')}."
    )


def test_csv_rows_that_are_wrong(tmp_path):
    file = tmp_path / "data.csv"
    cases = {
        "image,label,split\na.png,1,dev\n": "line 2: split must be train, validation, val, test, got 'dev'.",
        'image,label\na.png,1\n\n"b.png",\n': "line 4: there is no label. Leave such rows out.",
        'image,label\na.png,"1\n2"\nb.png,3,4\n': "line 4: 2 fields are required, got 3.",
        "image,label\na.png\n": "line 2: 2 fields are required, got 1.",
        "image,label\n ,1\n": "line 2: image must be the path of a picture, it is empty.",
    }
    for text, message in cases.items():
        file.write_text(text)
        assert message_of(ValueError, load_own_data, file) == f"{file}, {message}"
    make_csv(tmp_path, labelled(["1", "2"], group=["p", ""]))
    assert message_of(ValueError, load_own_data, file) == (
        f"{file}, line 3: there is no group. Give each row one, or name no column of groups."
    )


def test_csv_columns_that_are_missing(tmp_path):
    file = make_csv(tmp_path, [{"photo": "a.png", "age": "1"}])
    assert message_of(ValueError, load_own_data, file) == (
        f"{file} needs a column image or path or file_name, it has: photo, age. Name it with --image_column."
    )
    assert message_of(ValueError, load_own_data, file, image_column="photo", classes=["1", "2"]) == (
        f"{file} needs a column label, it has: photo, age. Name it with --label_column."
    )
    assert message_of(ValueError, load_own_data, file, image_column="photo", label_column="years") == (
        f"{file} needs a column 'years', it has: photo, age. Name it with --label_column."
    )
    options = {"image_column": "photo", "label_column": "age", "group_column": "who"}
    assert message_of(ValueError, load_own_data, file, **options) == (
        f"{file} needs a column 'who', it has: photo, age. Name it with --group_column."
    )


def test_files_that_are_no_csv(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("image,label\n")
    assert message_of(ValueError, load_own_data, file) == f"{file} has no rows. {SOURCES}."
    file.write_text("")
    assert message_of(ValueError, load_own_data, file) == (
        f"{file} needs a column image or path or file_name, it has: none. Name it with --image_column."
    )
    file.write_bytes("image,label\nä.png,1\n".encode("latin-1"))
    assert message_of(ValueError, load_own_data, file) == (
        f"{file} must be text in UTF-8: 'utf-8' codec can't decode byte 0xe4 in position 12: invalid continuation "
        "byte. Save it as UTF-8."
    )
    file.write_text('image,label\n"a.png,1\n')
    assert message_of(ValueError, load_own_data, file) == f"{file} must be a CSV file: unexpected end of data."
    other = tmp_path / "data.json"
    other.write_text("{}")
    assert message_of(ValueError, load_own_data, other) == f"A file must be a .csv file, got {other}. {SOURCES}."


# The test split


def test_every_class_has_a_fifth_in_the_test_split(tmp_path):
    labels = ["1"] * 50 + ["2"] * 7 + ["3"] * 2 + ["4"]
    own = load_own_data(make_csv(tmp_path, labelled(labels)))
    test = [name for name, split in zip(names_of(own), own.dataset["split"], strict=True) if split == "test"]
    assert Counter(test) == {"1": 10, "2": 1, "3": 1}  # at least one where there are two
    chosen = [i for i, split in enumerate(own.dataset["split"][:50]) if split == "test"]
    assert chosen != list(range(10)) and chosen != list(range(40, 50))  # drawn


def test_no_group_parts(tmp_path, caplog):
    rng = np.random.default_rng(0)
    groups = [f"p{g}" for g in range(60) for _ in range(rng.integers(1, 6))]
    labels = [str(1 + int(group[1:]) % 3 + int(rng.integers(0, 2))) for group in groups]
    file = make_csv(tmp_path, labelled(labels, group=groups))
    own = load_own_data(file)
    sides = {}
    for group, split in zip(own.dataset["group"], own.dataset["split"], strict=True):
        sides.setdefault(group, set()).add(split)
    assert set(map(len, sides.values())) == {1}
    totals, test = Counter(labels), Counter()
    for name, split in zip(names_of(own), own.dataset["split"], strict=True):
        test[name] += split == "test"
    for name, total in totals.items():
        assert abs(test[name] - total / 5) <= 5  # one group
    assert said(caplog) == [
        f"{file} has no test split: {test.total()} of its {len(labels)} training rows are one now, whole groups, about "
        "a fifth of each class, the same each time."
    ]


def test_few_groups(tmp_path):
    # Two groups, each half of all: neither brings the classes nearer to a fifth, and the smaller one is cut off.
    file = make_csv(tmp_path, labelled(["1", "2", "1", "2", "2"], group=list("aabbb")))
    assert load_own_data(file).dataset["split"][:] == ["test", "test", "train", "train", "train"]
    file = make_csv(tmp_path, labelled(["1", "2"], group=list("aa")))
    assert "or of too few groups, to cut one off" in message_of(ValueError, load_own_data, file)


def test_groups_that_the_source_parts(tmp_path, caplog):
    rows = labelled(["1", "2", "1", "2"], group=list("abba"), split=["train", "train", "test", "train"])
    file = make_csv(tmp_path, rows)
    assert load_own_data(file).dataset["split"][:] == ["train", "train", "test", "train"]
    assert said(caplog) == [
        f"{file} has 1 groups in more than one split, the first: b. Figures of such a test split are too good."
    ]


# Data sets of the library datasets


def test_saved_splits_with_class_labels(tmp_path, caplog):
    kind = ClassLabel(names=["small", "medium", "large"])
    parts = {
        "train": make_dataset({"label": [2, 0, 1], "other": [1, 2, 3]}, label=kind, other=Value("int32")),
        "test": make_dataset({"label": [1, 2], "other": [4, 5]}, label=kind, other=Value("int32")),
    }
    DatasetDict(parts).save_to_disk(tmp_path / "saved")
    own = load_own_data(tmp_path / "saved")
    assert own.class_names == ("small", "medium", "large")
    assert own.dataset.column_names == ["image", "label", "split"]
    assert own.dataset["label"][:] == [2, 0, 1, 1, 2]
    assert own.dataset["split"][:] == ["train"] * 3 + ["test"] * 2
    assert [image.getpixel((0, 0))[0] for image in own.dataset["image"]] == [0, 1, 2, 0, 1]
    assert said(caplog) == []
    own = load_own_data(tmp_path / "saved", classes=["large", "medium", "small"])
    assert own.class_names == ("large", "medium", "small") and own.dataset["label"][:] == [0, 2, 1, 1, 0]
    assert message_of(ValueError, load_own_data, tmp_path / "saved", classes=["small", "large"]) == (
        f"{tmp_path / 'saved'}, split train, row 2: the label must be one of small, large; got 'medium'."
    )


def test_folder_of_parquet_files_and_other_columns(tmp_path):
    (tmp_path / "data").mkdir()
    for split, labels in (("train", ["10", "9", "9", "8"]), ("validation", ["8"]), ("test", ["9"])):
        data = make_dataset({"age": labels, "who": [7] * len(labels)}, age=Value("string"), who=Value("int64"))
        data = data.rename_column("image", "face")
        data.to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    own = load_own_data(tmp_path / "data", label_column="age", group_column="who")
    assert own.class_names == ("8", "9", "10")
    assert names_of(own) == ["10", "9", "9", "8", "8", "9"]
    assert own.dataset["split"][:] == ["train"] * 4 + ["validation", "test"]
    assert own.dataset["group"][:] == ["7"] * 6
    assert own.dataset[3]["image"].getpixel((0, 0)) == (3, 0, 0)


def test_flat_folder_with_metadata(tmp_path):
    make_csv(tmp_path, [{"file_name": f"{i}.png", "label": i % 2 + 3} for i in range(10)], name="metadata.csv")
    own = load_own_data(tmp_path)
    assert own.class_names == ("3", "4")
    assert Counter(own.dataset["split"]) == {"train": 8, "test": 2}


def test_lists_of_numbers_are_soft(tmp_path):
    votes = [[1, 3], [0, 2], [5, 5]]
    make_dataset({"label": votes}, label=List(Value("int32"))).save_to_disk(tmp_path / "saved")
    own = load_own_data(tmp_path / "saved", classes=["no", "yes"])
    assert own.soft and own.class_names == ("no", "yes")
    np.testing.assert_array_equal(own.dataset["label"][:], [[0.25, 0.75], [0, 1], [0.5, 0.5]])
    assert load_own_data(tmp_path / "saved").class_names == ("0", "1")
    assert message_of(ValueError, load_own_data, tmp_path / "saved", classes=["no", "yes", "both"]) == (
        f"{tmp_path / 'saved'}, split train, row 0: a soft label must be 3 numbers, one for each of no, yes, both, "
        "none negative and not all 0; got 1, 3."
    )


def test_votes_in_columns(tmp_path):
    columns = {"yes": [1, 4, 0], "no": [3, 0, 2]}
    make_dataset(columns, yes=Value("int8"), no=Value("int8")).save_to_disk(tmp_path / "saved")
    own = load_own_data(tmp_path / "saved", classes=["no", "yes"])
    np.testing.assert_array_equal(own.dataset["label"][:], [[0.75, 0.25], [0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("labels", "kind", "row"),
    [
        ([0, 1, -1], ClassLabel(names=["a", "b"]), 2),
        ([0, None, 1], ClassLabel(names=["a", "b"]), 1),
        (["a", "b", " "], Value("string"), 2),
        ([1.0, float("nan"), 2.0], Value("float32"), 1),
    ],
)
def test_rows_without_a_label(tmp_path, labels, kind, row):
    make_dataset({"label": labels}, label=kind).save_to_disk(tmp_path / "saved")
    assert message_of(ValueError, load_own_data, tmp_path / "saved") == (
        f"{tmp_path / 'saved'}, split train, row {row}: there is no label. Leave such rows out."
    )


def test_a_row_is_named_within_its_split(tmp_path):
    parts = {name: make_dataset({"label": labels}, label=Value("int8")) for name, labels in
             (("train", [1, 2, 1]), ("test", [1, 3]))}  # fmt: skip
    DatasetDict(parts).save_to_disk(tmp_path / "saved")
    assert message_of(ValueError, load_own_data, tmp_path / "saved", classes=[1, 2]) == (
        f"{tmp_path / 'saved'}, split test, row 1: the label must be one of 1, 2; got '3'."
    )


def test_data_sets_that_do_not_fit(tmp_path):
    def refused(name, parts, **options):
        (DatasetDict(parts) if isinstance(parts, dict) else parts).save_to_disk(tmp_path / name)
        return message_of(ValueError, load_own_data, tmp_path / name, **options).removeprefix(str(tmp_path / name))

    number, text = Value("int64"), Value("string")
    data = make_dataset({"label": [0, 1]}, label=number)
    assert refused("splits", {"train": data, "extra": data}) == (
        ": splits must be named train, validation, val, test, got train, extra."
    )
    other = make_dataset({"label": ["a", "b"]}, label=text)
    assert refused("columns", {"train": data, "test": other}) == (
        ": image, label must be the same in all splits, test has others."
    )
    assert refused("pictures", data.remove_columns("image")) == (
        " must have a column of the type Image, its columns are label."
    )
    assert refused("labels", make_dataset({"label": [["a"], ["b"]]}, label=List(text))) == (
        ": label must be a ClassLabel, text, a number or a list of numbers (soft), got List(Value('string'))."
    )
    two = data.add_column("mask", [b"", b""], feature=Value("binary")).cast_column("mask", datasets.Image())
    assert refused("two", two.rename_column("image", "face")) == (
        " needs a column image or path or file_name, it has: face, mask. Name it with --image_column."
    )
    empty = make_dataset({"label": [[], [1.0]]}, label=List(Value("float32")))
    assert refused("empty", empty) == f" must have at least two classes, it has: 0. {SOURCES}."


def test_sources_that_are_not_there(tmp_path, monkeypatch):
    absent = tmp_path / "absent" / "data.csv"
    assert message_of(FileNotFoundError, load_own_data, absent) == f"There is no {absent}. {SOURCES}."
    monkeypatch.chdir(tmp_path)
    assert (
        message_of(FileNotFoundError, load_own_data, "data.csv") == f"There is no {tmp_path / 'data.csv'}. {SOURCES}."
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert message_of(FileNotFoundError, load_own_data, empty) == (
        f"{empty} cannot be loaded as a data set: The directory at {empty} doesn't contain any data files. {SOURCES}."
    )


def test_a_name_of_the_hub(monkeypatch):
    asked = []

    def load(name):
        asked.append(name)
        return DatasetDict(whole=make_dataset({"label": [1, 2] * 5}, label=Value("int8")))

    monkeypatch.setattr("squared_emd.data.own_parts.load_dataset", load)
    own = load_own_data("someone/own-data_1.0")
    assert asked == ["someone/own-data_1.0"]
    assert Counter(own.dataset["split"]) == {"train": 8, "test": 2}


def test_a_hub_that_is_out_of_reach(monkeypatch):
    def fail(name):
        raise ConnectionError(f"Couldn't reach {name!r} on the Hub")

    monkeypatch.setattr("squared_emd.data.own_parts.load_dataset", fail)
    assert message_of(FileNotFoundError, load_own_data, "someone/data") == (
        f"someone/data cannot be loaded as a data set: Couldn't reach 'someone/data' on the Hub. {SOURCES}."
    )
