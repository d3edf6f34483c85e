"""The user's own data: every kind of source, column and label, for every modality."""

import itertools
import json
import os
import shutil
from collections import Counter
from functools import partial

import datasets
import numpy as np
import pandas as pd
import pytest
import soundfile
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, List, Value
from PIL import Image
from tests.errors import message_of

from squared_emd.data.labeled_data import load_labeled_data

load_images = partial(load_labeled_data, noun="images")
load_sounds = partial(load_labeled_data, noun="sounds")
load_table = partial(load_labeled_data, noun="tables")
load_texts = partial(load_labeled_data, noun="texts")
SKIP_IMAGES = "Repair them, or leave them out with --skip_bad_images (skip_bad_images=True)."
CONVERT = "Repair them, or convert them to WAV, FLAC, Ogg or MP3."
OR_SKIP = ", or leave them out with --skip_incomplete (skip_incomplete=True)."
NUMBERS = itertools.count()
KEYWORDS = "train, training, validation, valid, dev, val, test, testing, eval, evaluation, holdout"


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("squared_emd")]


def write_media(path):
    """An image or a sound; each has another content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.new("RGB", (4, 3), (*divmod(next(NUMBERS), 256), 0)).save(path)
    else:
        soundfile.write(path, np.full(80, next(NUMBERS) / 2**15), 8000)
    return path.read_bytes()


def write_folder(root, counts, ending="png"):
    """`counts` says how many files each folder has."""
    for folder, count in counts.items():
        for i in range(count):
            write_media(root / folder / f"{i}.{ending}")
    return root


def write_csv(path, /, **columns):
    """With the images and sounds that its cells name."""
    pd.DataFrame(columns).to_csv(path, index=False)
    for cell in itertools.chain(*columns.values()):
        if str(cell).endswith((".png", ".wav")):
            write_media(path.parent / cell)
    return path


def write_source(path, content):
    """A saved dataset; of counts a folder of images; of columns a CSV file."""
    if isinstance(content, (Dataset, DatasetDict)):
        content.save_to_disk(path)
        return path
    if any(isinstance(value, int) for value in content.values()):
        return write_folder(path, content)
    return write_csv(path.with_suffix(".csv"), **content)


def of_type(kind, **columns):
    """A dataset with a label of a type of `datasets`."""
    kinds = {name: Dataset.from_dict({name: values}).features[name] for name, values in columns.items()}
    return Dataset.from_dict(columns, features=Features(kinds | {"label": kind}))


def with_images(**columns):
    size = len(next(iter(columns.values())))
    return Dataset.from_dict({"image": [Image.new("RGB", (4, 3), (i, 0, 0)) for i in range(size)], **columns})


def first_levels(images):
    return [image.getpixel((0, 0))[0] for image in images]


def names_of(loaded):
    return [loaded.class_names[label] for label in loaded.dataset["label"]]


def counts_of(loaded):
    return Counter(zip(names_of(loaded), loaded.dataset["split"], strict=True))


PEOPLE = {"image": [f"{i}.png" for i in range(4)], "label": ["x"] * 4, "photo": [f"{i}.png" for i in range(4, 8)],
          "age": [10, 9.0, 9, 10], "who": list("abcd")}  # fmt: skip
SIZES = ["small", "medium", "large"]
SAVED = DatasetDict(
    train=with_images(label=[2, 0, 1], other=[1, 2, 3]).cast_column("label", ClassLabel(names=SIZES)),
    test=with_images(label=[1, 2], other=[4, 5]).cast_column("label", ClassLabel(names=SIZES)),
)
VOTES = {"text": list("abcd"), "label": ["?"] * 4, "split": ["train", "val", "test", "train"], "bad": [1, 0.5, 0, 2],
         "good": [3, 0, 1e308, 0], "fair": [0, 0.5, 1e308, 0]}  # fmt: skip
SHARES = Dataset.from_dict({"text": list("abc") * 4, "label": [[1, 3], [0, 2], [5, 5]] * 4})
INCOMPLETE = {"x": [1, 2] * 10, "bad": [1, None] * 10, "good": [3, 1] * 10}
FACES = {"image": ["x.png", "a/y.png", "../z.png", "q.png"], "label": ["low", " high", "low", "high"],
         "split": ["Train", "dev", "test", "train"], "group": ["p1", "p2", "7", "p1"], "other": range(4)}  # fmt: skip


def sorted_as_text(*names):
    return of_type(ClassLabel(names=list(names)), x=[0.5] * 30, label=[0, 1, 2] * 10)


@pytest.mark.parametrize(
    ("noun", "content", "options", "names", "columns"),
    [
        ("images", {"test/a": 5, "test/b": 5}, {"ordered": False}, "a b", {}),  # one split counts as none
        ("images", FACES, {"classes": ["low", "high"]}, "low high",
         {"label": [0, 1, 0, 1], "split": ["train", "validation", "test", "train"], "group": ["p1", "p2", "7", "p1"]}),
        ("images", PEOPLE, {"columns": "photo", "label_column": "age", "group_column": "who"}, "9 10",
         {"label": [1, 0, 0, 1], "group": list("abcd")}),
        ("images", SAVED, {}, "small medium large", {"label": [2, 0, 1, 1, 2], "split": ["train"] * 3 + ["test"] * 2}),
        ("images", SAVED, {"classes": SIZES[::-1]}, "large medium small", {"label": [0, 2, 1, 1, 0]}),
        ("texts", VOTES, {"classes": ["bad", "fair", "good"], "columns": "text"}, "bad fair good",
         {"label": [[0.25, 0, 0.75], [0.5, 0.5, 0], [0, 0.5, 0.5], [1, 0, 0]]}),
        ("texts", SHARES, {"classes": ["no", "yes"]}, "no yes", {"label": [[0.25, 0.75], [0, 1], [0.5, 0.5]] * 4}),
        ("texts", SHARES, {}, "0 1", {}),
        ("tables", INCOMPLETE, {"classes": ["bad", "good"], "skip_incomplete": True}, "bad good",
         {"label": [[0.25, 0.75]] * 10}),
        ("tables", sorted_as_text("1", "10", "2"), {"needs_order": True}, "1 2 10", {"label": [0, 2, 1] * 10}),
        ("tables", sorted_as_text("0-2", "10-19", "3-9"), {"needs_order": True}, "0-2 3-9 10-19", {}),
        ("tables", sorted_as_text("b", "c", "a"), {"needs_order": True}, "b c a", {"label": [0, 1, 2] * 10}),
        ("tables", sorted_as_text("2", "1", "3"), {"needs_order": True}, "2 1 3", {}),
        ("texts", {"body": [f"b{k}" for k in range(30)], "grade": ["b", "a", "c"] * 10, "id": range(30)},
         {"label_column": "grade", "classes": ["a", "b", "c"]}, "a b c", {"label": [1, 0, 2] * 10}),
        ("tables", {"group": [0.5, 1.5] * 10, "label": [0, 1] * 10, "who": list("aabbccddee") * 2},
         {"group_column": "who"}, "0 1", {"group (input)": [0.5, 1.5] * 10, "group": list("aabbccddee") * 2}),
    ],
)  # fmt: skip
def test_what_is_read(noun, content, options, names, columns, tmp_path):
    dataset, class_names = load_labeled_data(write_source(tmp_path / "own", content), noun, **options)
    assert class_names == tuple(names.split())
    assert {name: dataset[name][:] for name in columns} == columns
    assert set(dataset["split"]) >= {"train", "test"}
    is_soft = isinstance(dataset[0]["label"], list)
    kind = List(Value("float32"), length=len(class_names)) if is_soft else ClassLabel(names=list(class_names))
    assert dataset.features["label"] == kind
    if noun == "images":
        assert "other" not in dataset.column_names and dataset[0]["image"].size == (4, 3)


def own(noun):
    folders = "a folder of <class>/<file> or <split>/<class>/<file>, " if noun in ("images", "sounds") else ""
    return (
        f"Own {noun} are {folders}a .csv, .tsv, .json, .jsonl, .parquet file with a column of {noun} and one of "
        "labels, a folder that load_from_disk or load_dataset reads, or a dataset of the Hub."
    )


IMAGES = with_images(label=[0, 1])
RENAMED = IMAGES.rename_column("label", "class")
TWO_IMAGES = with_images(label=[0, 1], mask=[Image.new("L", (2, 2))] * 2).rename_column("image", "face")
REVIEWS = {"body": ["a", "c"] * 5, "title": ["b", "d"] * 5, "stars": [1, 2] * 5}
STARS = {"label_column": "stars"}
NO_LABEL = f"SOURCE, split test, row 0: there is no label (in 1 of 2 rows). Remove such rows{OR_SKIP}"
FEATURES = {"x": [1, None, 3] * 10, "kind": ["a", "b"] * 15, "grade": ["low", "mid", "high"] * 10, "list": [[1]] * 30}
TABLE, GRADES = Dataset.from_dict(FEATURES), {"label_column": "grade", "classes": ["low", "mid", "high"]}


def missing_in_test(kind, good, missing):
    rows = of_type(kind, text=["a", "b"], label=[good, missing])
    return DatasetDict(train=rows.select([0]), test=rows.select([1]))


@pytest.mark.parametrize(
    ("noun", "content", "options", "message"),
    [
        ("images", {"train/a": 1, "train/b": 1, "c": 1}, {},
         "SOURCE cannot be loaded as a dataset: SOURCE: folders of splits must be all on their level, above those of "
         "classes or in each; got train among c, train. Move them, or list all with --classes (classes=...) if all are "
         f"classes. {own('images')}"),
        ("images", {"val/1": 1, "val/2": 1, "test/1": 1}, {},
         "SOURCE has no rows to train on, its splits are test, validation."),
        ("images", {"1": 3}, {}, "SOURCE must have at least two classes, it has: 1."),
        ("images", {"1": 1, "2": 1}, {}, "SOURCE has no test split, and its 2 training rows are too few, or of too few "
         "groups, to make one. Assign rows to the test split."),
        ("texts", {"text": list("abcd"), "label": [1, 2] * 2, "group": ["a"] * 4}, {"columns": "text"},
         "SOURCE has no test split, and its 4 training rows are too few, or of too few groups, to make one. Assign "
         "rows to the test split."),
        ("texts", {"text": list("abc"), "label": [1, 2, 3], "split": ["train", "train", "test"]}, {},
         "SOURCE has no validation split, and its 2 training rows are too few, or of too few groups, to make one. "
         "Assign rows to the validation split."),
        ("images", {"1": 1, "2": 1}, {"classes": ["1", "3"]},
         "SOURCE, split train, row 1: the label must be one of 1, 3; got '2'."),
        ("images", SAVED, {"classes": SIZES[:2]},
         "SOURCE, split train, row 0: the label must be one of small, medium; got 'large'."),
        ("images", DatasetDict(train=IMAGES, extra=IMAGES), {},
         f"SOURCE: splits must be named {KEYWORDS}; got train, extra."),
        ("images", DatasetDict(train=IMAGES, test=RENAMED), {},
         f"SOURCE: all splits must have the same columns, test has others: {RENAMED.features}."),
        ("images", IMAGES.remove_columns("image"), {},
         "SOURCE needs a column image or path or file or file_name, it has: none. Name it with --image_column."),
        ("images", TWO_IMAGES, {},
         "SOURCE needs a column image or path or file or file_name, it has: face, mask. Name it with --image_column."),
        ("images", with_images(label=[["a"], ["b"]]), {},
         "SOURCE: label must be a ClassLabel, text, a number or a list of numbers (soft), got List(Value('string'))."),
        ("texts", REVIEWS, {}, "SOURCE needs a column label, it has: body, title, stars. Name it with --label_column."),
        ("texts", REVIEWS, {"label_column": "years"},
         "SOURCE needs a column 'years', it has: body, title, stars. Name it with --label_column."),
        ("texts", REVIEWS, STARS, "SOURCE needs a column text, it has: body, title. Name it with --text_column."),
        ("texts", REVIEWS, STARS | {"columns": "stars"},
         "SOURCE: stars must be a column of text, not that of labels, groups or splits; got Value('large_string')."),
        ("texts", REVIEWS, STARS | {"group_column": "who"},
         "SOURCE needs a column 'who', it has: body, title, stars. Name it with --group_column."),
        ("texts", {"text": ["a", "b"], "label": [1, 2], "split": ["train", "rest"]}, {"columns": "text"},
         f"SOURCE, split train, row 1: split must be one of {KEYWORDS}; got 'rest'."),
        ("texts", VOTES, {"classes": ["bad", "good"], "label_column": "label", "columns": "text"},
         "SOURCE, split train, row 0: the label must be one of bad, good; got '?'."),
        ("texts", SHARES, {"classes": ["no", "yes", "both"]},
         "SOURCE, split train, row 0: a soft label must be 3 numbers, one for each of no, yes, both, none negative and "
         "not all 0; got 1, 3."),
        ("tables", of_type(ClassLabel(names=["bad", "fair", "good", "poor"]), x=[0.5] * 20, label=[0, 1, 2, 3] * 5),
         {"needs_order": True},
         "SOURCE does not define an order of its classes, which a loss of this run needs. List them from the lowest to "
         "the highest with --classes (classes=...). In the order of the alphabet, to be put right: --classes bad fair "
         "good poor"),
        ("texts", missing_in_test(ClassLabel(names=["a", "b"]), 1, -1), {}, NO_LABEL),
        ("texts", missing_in_test(ClassLabel(names=["a", "b"]), 0, None), {}, NO_LABEL),
        ("texts", missing_in_test(Value("string"), "b", " "), {}, NO_LABEL),
        ("texts", missing_in_test(Value("float32"), 1.0, float("nan")), {}, NO_LABEL),
        ("tables", INCOMPLETE, {"classes": ["bad", "good"]},
         "SOURCE, split train, row 1: there is no vote for a class (in 10 of 20 rows). Remove such rows" + OR_SKIP),
        ("texts", {"text": ["a", "b"], "label": [None, None]}, {"skip_incomplete": True},
         "SOURCE, split train, row 0: there is no label (in 2 of 2 rows). Remove such rows" + OR_SKIP),
        ("tables", TABLE, GRADES | {"columns": ["x", "grade", "y"]},
         "SOURCE: feature_columns must be columns of numbers or text other than label, group and split; got grade, y. "
         "Choose from: x, kind."),
        ("tables", TABLE, GRADES | {"columns": []},
         "SOURCE must have a column of numbers or text, its columns are x, kind, grade, list."),
        ("tables", {"index": range(20), "label": [0, 1] * 10}, {},
         "SOURCE must have a column of numbers or text, its columns are index, label."),
        ("tables", {"label": [0, 1]}, {}, "SOURCE must have a column of numbers or text, its columns are label."),
    ],
)  # fmt: skip
def test_what_is_refused(noun, content, options, message, tmp_path):
    source = write_source(tmp_path / "own", content)
    assert message_of(ValueError, load_labeled_data, source, noun, **options) == message.replace("SOURCE", str(source))


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("absent.csv", None, FileNotFoundError, "There is no {path}. "),
        ("no/such/folder", None, FileNotFoundError, "There is no {path}. "),
        ("pipe.csv", os.mkfifo, ValueError, "{path} is neither a regular file nor a folder. "),
        ("r.xlsx", b"", ValueError, "A file must be one of .csv, .tsv, .json, .jsonl, .parquet, got {path}. "),
        ("rows.csv", b"text,label\n", ValueError, "{path} has no rows. "),
    ],
)
def test_files_that_cannot_be_read(name, content, kind, message, tmp_path):
    path = tmp_path / name
    if callable(content):
        content(path)
    elif content is not None:
        path.write_bytes(content)
    assert message_of(kind, load_texts, path) == message.format(path=path) + own("texts")


class TestFolders:
    def test_class_folders(self, tmp_path, caplog):
        root = write_folder(tmp_path / "own", {"9": 5, "10/nested": 10, "1": 5})
        (root / "2").mkdir()
        (root / "1" / "notes.txt").write_text("no image")
        loaded = load_images(root)
        assert loaded.class_names == ("1", "9", "10")
        assert loaded.dataset.column_names == ["image", "label", "split"]
        assert counts_of(loaded) == {
            ("1", "train"): 4, ("1", "test"): 1, ("9", "train"): 4, ("9", "test"): 1, ("10", "train"): 8,
            ("10", "test"): 2,
        }  # fmt: skip
        for name, image in zip(names_of(loaded), loaded.dataset["image"], strict=True):
            assert f"/own/{name}/" in image.filename
        assert warnings_in(caplog) == [
            f"{root}: files left out because of their endings: 1 (1/notes.txt).",
            f"{root}: folders left out because they hold no images: 1 (2).",
            f"{root} is read as <class>/**/<file>; folders below those of classes are ignored.",
            f"{root} has no test split: 4 of its 20 training rows become one, a fifth of each class.",
        ]
        assert load_images(root).dataset["split"][:] == loaded.dataset["split"][:]

    def test_a_test_split_is_made_beside_a_validation_split(self, tmp_path):
        root = write_folder(tmp_path, {"train/a": 10, "train/b": 5, "val/a": 3, "val/b": 4})
        assert counts_of(load_images(root, ordered=False)) == {
            ("a", "train"): 8, ("a", "test"): 2, ("a", "validation"): 3,
            ("b", "train"): 4, ("b", "test"): 1, ("b", "validation"): 4,
        }  # fmt: skip

    def test_metadata_that_a_spreadsheet_saved(self, tmp_path):
        write_folder(tmp_path, {"": 10})
        lines = ["file_name;label;grade", *(f"{i}.png;{('None', 'mild')[i % 2]};{('NA', 1)[i % 2]}" for i in range(10))]
        (tmp_path / "metadata.csv").write_text("\n".join(lines), encoding="utf-8-sig")
        for column, names in (("label", ["None", "mild"]), ("grade", ["NA", "1"])):
            assert load_images(tmp_path, classes=names, label_column=column).dataset["label"][:] == [0, 1] * 5

    def test_a_readme_beside_the_classes(self, tmp_path):
        """What datasets reads of it is followed, text in another encoding is not read, and broken YAML is named."""
        root = write_folder(tmp_path / "own", {"a": 5, "b": 5})
        (root / "README.md").write_bytes(b"Fotos \xfcber alles")
        assert load_images(root).class_names == ("a", "b")
        for name in "ab":
            rows = {"file_name": [f"{i}.png" for i in range(5)], "label": [1, 2, 1, 2, 1]}
            pd.DataFrame(rows).to_csv(root / name / "metadata.csv", index=False)
        assert Counter(load_images(root).dataset["split"]) == {"train": 8, "test": 2}
        files = [{"split": "train", "path": "a/*"}, {"split": "test", "path": "b/*"}]
        card = {"configs": [{"config_name": "default", "data_files": files}]}
        (root / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
        assert Counter(load_images(root).dataset["split"]) == {"train": 5, "test": 5}
        (root / "README.md").write_text("---\nconfigs: [\n---\n")
        start = f"{root} cannot be loaded as a dataset: the YAML at the top of {root}/README.md cannot be read: "
        for load in (load_images, load_texts):
            assert message_of(ValueError, load, root).startswith(start)

    def test_metadata_and_split_folders(self, tmp_path, caplog):
        """The split is that of the folder, the label that of the metadata, wherever they lie."""
        root = write_folder(tmp_path / "own", {"train": 3, "holdout": 2})
        rows = pd.DataFrame({"file_name": ["train/0.png", "train/1.png", "holdout/0.png", "holdout/9.png"],
                             "label": [10, 9, 9, 9]})  # fmt: skip
        rows.to_csv(root / "metadata.csv", index=False)
        assert message_of(ValueError, load_images, root) == (
            f"1 of 4 images of {root} are missing or cannot be decoded, the first: {root}/holdout/9.png (missing). "
            f"{SKIP_IMAGES}"
        )
        rows[:3].to_csv(root / "metadata.csv", index=False)
        caplog.clear()
        loaded = load_images(root)
        assert loaded.class_names == ("9", "10")
        assert counts_of(loaded) == {("10", "train"): 1, ("9", "train"): 1, ("9", "test"): 1}
        assert warnings_in(caplog) == [
            f"{root}: files left out because no metadata name them: 2 ({root}/holdout/1.png, {root}/train/2.png).",
            f"{root} is read as <split>/**; splits: holdout as test (1), train as train (2).",
        ]
        (root / "metadata.csv").unlink()
        for split, labels in (("train", ["a", "b", "b"]), ("holdout", ["b", "a"])):
            rows = [{"file_name": f"{i}.png", "label": label} for i, label in enumerate(labels)]
            (root / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert counts_of(load_images(root)) == {
            ("a", "train"): 1, ("b", "train"): 2, ("b", "test"): 1, ("a", "test"): 1,
        }  # fmt: skip

    def test_data_files_that_load_dataset_passes_over(self, tmp_path, caplog):
        for name in ("train", "holdout"):
            write_csv(tmp_path / f"{name}.csv", text=list("abcd") * 3, label=[1, 2] * 6)
        load_texts(tmp_path)
        assert f"{tmp_path}: files left out because load_dataset reads others: 1 (holdout.csv)." in warnings_in(caplog)

    def test_sounds(self, tmp_path, caplog):
        write_folder(tmp_path / "own", {"1 bad": 10, "2 fair": 10, "10 good": 10}, "WAV")
        loaded = load_sounds(tmp_path / "own")
        assert loaded.class_names == ("1 bad", "2 fair", "10 good")
        assert "they are ordered by their numbers: 1 bad, 2 fair, 10 good." in caplog.text
        assert Counter(loaded.dataset["split"]) == {"train": 19, "validation": 5, "test": 6}
        for name, sound in zip(names_of(loaded), loaded.dataset["audio"], strict=True):
            assert f"/own/{name}/" in sound["path"]

    def test_parquet_files(self, tmp_path):
        for split, labels in (("train", ["10", "9", "9", "8"]), ("validation", ["8"]), ("test", ["9"])):
            rows = with_images(age=labels, who=[7] * len(labels)).rename_column("image", "face")
            rows.to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
        loaded = load_images(tmp_path, label_column="age", group_column="who")
        assert loaded.class_names == ("8", "9", "10") and names_of(loaded) == ["10", "9", "9", "8", "8", "9"]
        assert loaded.dataset["split"][:] == ["train"] * 4 + ["validation", "test"]
        assert loaded.dataset["group"][:] == ["7"] * 6
        assert first_levels(loaded.dataset["image"]) == [0, 1, 2, 3, 0, 0]


class TestHub:
    def test_a_dataset(self, monkeypatch):
        def load(name):
            if name != "someone/own-data_1.0":
                raise ConnectionError(f"Couldn't reach {name!r} on the Hub")
            return DatasetDict(whole=with_images(label=[1, 2] * 5))

        monkeypatch.setattr("squared_emd.data.sources.load_dataset_builder", lambda name: None)
        monkeypatch.setattr("squared_emd.data.sources.load_dataset", load)
        assert Counter(load_images("someone/own-data_1.0").dataset["split"]) == {"train": 8, "test": 2}
        assert message_of(FileNotFoundError, load_images, "someone/data") == (
            "someone/data cannot be loaded as a dataset: there is no such folder, and Couldn't reach 'someone/data' on "
            f"the Hub. {own('images')}"
        )

    def test_folders_are_read_as_those_on_disk(self, monkeypatch, tmp_path):
        folders = [f"{split}/{k}" for split in ("train", "dev") for k in (1, 2, 10)]
        root = write_folder(tmp_path / "snapshot", dict.fromkeys(folders, 5))
        builder = datasets.load_dataset_builder("imagefolder", data_dir=str(root))
        monkeypatch.setattr("squared_emd.data.sources.load_dataset_builder", {"someone/photos": builder}.__getitem__)
        monkeypatch.setattr("squared_emd.data.sources.snapshot_download", lambda name, repo_type: str(root))
        loaded, on_disk = load_images("someone/photos"), load_images(root)
        assert loaded.class_names == on_disk.class_names == ("1", "2", "10")
        assert counts_of(loaded) == counts_of(on_disk)
        assert {split for _, split in counts_of(loaded)} == {"train", "validation", "test"}


class TestMedia:
    def test_bad_images(self, tmp_path, caplog):
        """A pipe would be read without end; a float image of 700 has no place in 0 .. 255. The first five are named."""
        root = write_folder(tmp_path / "own", {"1": 7, "2": 7})
        (root / "1" / "0.png").write_text("<html>")
        (root / "1" / "gone.png").symlink_to(root / "nowhere")
        os.mkfifo(root / "1" / "pipe.png")
        (root / "2" / "1.png").write_bytes((root / "2" / "1.png").read_bytes()[:45])
        Image.new("F", (2, 2), 700).save(root / "2" / "deep.tiff")
        for name in ("e.png", "f.png"):
            (root / "2" / name).touch()
        what = (
            f"7 of 19 images of {root} are missing or cannot be decoded, the first: {root}/1/0.png (it is not an "
            f"image); {root}/1/gone.png (missing); {root}/1/pipe.png (it is not a regular file); {root}/2/1.png "
            f"(image file is truncated); {root}/2/deep.tiff (gray levels of the mode "
            "'F' must lie within 0 .. 1, got 700 .. 700. Rescale them first)"
        )
        assert message_of(ValueError, load_images, root) == f"{what}. {SKIP_IMAGES}"
        loaded = load_images(root, skip_bad_images=True)
        assert counts_of(loaded) == {("1", "train"): 5, ("2", "train"): 5, ("1", "test"): 1, ("2", "test"): 1}
        for name, image in zip(names_of(loaded), loaded.dataset["image"], strict=True):
            assert f"/own/{name}/" in image.filename
        assert f"{what}. They are left out." in warnings_in(caplog)

    def test_no_image_is_good(self, tmp_path):
        for folder in ("1", "2"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a.png").touch()
        assert message_of(ValueError, load_images, tmp_path, skip_bad_images=True) == (
            f"2 of 2 images of {tmp_path} are missing or cannot be decoded, the first: {tmp_path}/1/a.png (it is not "
            f"an image); {tmp_path}/2/a.png (it is not an image). Repair them."
        )

    def test_every_format_that_pillow_opens(self, tmp_path, monkeypatch):
        """Formats that a plugin registers later are among them."""
        monkeypatch.setattr(Image, "EXTENSION", Image.registered_extensions().copy())
        Image.register_extension("PNG", ".late")
        endings = ("AVIF", "bmp", "dib", "gif", "JFIF", "jp2", "jpeg", "pgm", "Png", "qoi", "tga", "tif", "webp")
        write_folder(tmp_path, {"1": 1, "2": 5})
        for k, ending in enumerate((*endings, "late")):
            image = Image.new("RGB", (16, 16), (k, 0, 0))
            image.save(tmp_path / "1" / f"{k}.{ending}", Image.registered_extensions()[f".{ending.lower()}"])
        Image.new("I;16", (16, 16), 40_000).save(tmp_path / "1" / "deep.png")
        assert names_of(load_images(tmp_path)).count("1") == len(endings) + 3

    def test_bad_images_of_a_table(self, tmp_path, caplog):
        """What is in a parquet file is checked as files are."""
        rows = with_images(label=[0, 1] * 6).cast_column("image", datasets.Image(decode=False))
        images, file = [*rows["image"][:11], {"bytes": b"<html>", "path": "11.png"}], tmp_path / "own.parquet"
        rows = Dataset.from_dict({"image": images, "label": rows["label"]}).cast_column("image", datasets.Image())
        rows.to_parquet(file)
        what = (
            f"1 of 12 images of {file} are missing or cannot be decoded, the first: {file}, split train, row 11, "
            "11.png (it is not an image)"
        )
        assert message_of(ValueError, load_images, file) == f"{what}. {SKIP_IMAGES}"
        assert first_levels(load_images(file, skip_bad_images=True).dataset["image"]) == list(range(11))
        assert f"{what}. They are left out." in warnings_in(caplog)

    def test_the_same_image_in_several_rows(self, tmp_path, caplog):
        root = write_folder(tmp_path / "own", {"1": 10, "2": 10})
        pairs = [(str(root / k / f"{i}.png"), str(root / k / f"copy of {i}.png")) for k in "12" for i in range(3)]
        for first, copy in pairs:
            shutil.copy(first, copy)
        loaded = load_images(root).dataset
        assert loaded.column_names == ["image", "label", "split", "content"] and "test" in loaded["split"][:]
        rows = zip(loaded["split"], loaded["content"], strict=True)
        found = dict(zip([image.filename for image in loaded["image"]], rows, strict=True))
        assert all(found[first] == found[copy] for first, copy in pairs)
        assert len(set(loaded["content"])) == 20
        assert next(text for text in warnings_in(caplog) if "copies" in text).startswith(
            f"{root}: 6 of 26 images are copies of others by their content; 0 are in more than one split, 0 in more "
            f"than one class. The first: {' = '.join(pairs[0])}; "
        )
        given = write_folder(tmp_path / "given", {"train/1": 2, "train/2": 2, "test/1": 1, "test/2": 1})
        shutil.copy(given / "train" / "1" / "0.png", given / "test" / "2" / "x.png")
        caplog.clear()
        assert Counter(load_images(given).dataset["split"]) == {"train": 4, "test": 3}
        assert warnings_in(caplog) == [
            f"{given}: 1 of 7 images are copies of others by their content; 1 are in more than one split, 1 in more "
            f"than one class. The first: {given}/train/1/0.png = {given}/test/2/x.png. A split that is made keeps "
            "copies together; results on a test split that shares images with training are too good."
        ]

    def test_a_file_of_sounds(self, tmp_path):
        names = [f"wav/{k}.wav" for k in range(12)]
        path = tmp_path / "s.csv"
        (tmp_path / "wav").mkdir()
        write_csv(path, path=names, grade=[0, 1] * 6)
        loaded = load_sounds(path, label_column="grade")
        assert loaded.dataset["audio"][:] == [{"bytes": None, "path": str(tmp_path / name)} for name in names]
        (tmp_path / "wav" / "3.wav").unlink()
        (tmp_path / "wav" / "5.wav").write_bytes(b"RIFF")
        assert message_of(ValueError, load_sounds, path, label_column="grade") == (
            f"2 of 12 sounds of {path} are missing or cannot be decoded, the first: {tmp_path}/wav/3.wav (missing); "
            f"{tmp_path}/wav/5.wav (Format not recognised). {CONVERT}"
        )

    def test_sounds_in_a_table(self, tmp_path):
        contents = [write_media(tmp_path / "s.wav") for _ in range(10)]
        for name, column, cells in (("saved", "sound", contents), ("broken", "audio", [b"RIFF"] * 2)):
            sounds = {column: [{"bytes": cell, "path": None} for cell in cells], "label": [0, 1] * (len(cells) // 2)}
            Dataset.from_dict(sounds).cast_column(column, Audio(decode=False)).save_to_disk(tmp_path / name)
        loaded = load_sounds(tmp_path / "saved")
        assert loaded.dataset.column_names == ["audio", "label", "split"]
        assert loaded.dataset[0]["audio"] == {"bytes": contents[0], "path": None}
        rows = "; ".join(f"{tmp_path}/broken, split train, row {i} (Format not recognised)" for i in range(2))
        assert message_of(ValueError, load_sounds, tmp_path / "broken") == (
            f"2 of 2 sounds of {tmp_path}/broken are missing or cannot be decoded, the first: {rows}. {CONVERT}"
        )


class TestIncompleteRows:
    """Rows 1, 4 and 7 lack something; an error after they are left out still counts as the file does."""

    @pytest.mark.parametrize(
        ("noun", "column", "what"),
        [
            ("texts", "text", "text"),
            ("sounds", "audio", "sound"),
            ("images", "image", "image"),
            ("tables", "label", "label"),
            ("tables", "group", "group"),
        ],
    )
    def test_they_are_counted(self, noun, column, what, tmp_path, caplog):
        names = {"image": [f"{i}.png" for i in range(30)], "audio": [f"{i}.wav" for i in range(30)], "text": "a"}
        cells = {"label": ["1", "2", "3"] * 10, "group": ["p", "q", "r"] * 10, "x": [0.5, 1.5] * 15}
        rows = pd.DataFrame(names | cells, dtype=object)
        rows.loc[[1, 4, 7], column] = [None, " ", ""]
        rows.loc[[1, 2], "x"] = None  # As inputs of a table may be.
        write_csv(tmp_path / "t.csv", **rows)
        rows.to_parquet(path := tmp_path / "t.parquet")
        options = {"columns": "text"} if noun == "texts" else {}
        advice = "Give each row one, remove the column" if what == "group" else "Remove such rows"
        assert message_of(ValueError, load_labeled_data, path, noun, **options) == (
            f"{path}, split train, row 1: there is no {what} (in 3 of 30 rows). {advice}{OR_SKIP}"
        )
        options["skip_incomplete"] = True
        loaded = load_labeled_data(path, noun, **options)
        assert loaded.dataset["label"][:] == [k for i, k in enumerate([0, 1, 2] * 10) if i not in (1, 4, 7)]
        assert warnings_in(caplog)[0] == f"{path}: 3 of 30 rows without a {what} are left out."
        assert message_of(ValueError, load_labeled_data, path, noun, classes=[1, 2], **options) == (
            f"{path}, split train, row 2: the label must be one of 1, 2; got '3'."
        )


class TestSplits:
    def test_no_group_is_divided(self, tmp_path, caplog):
        rng = np.random.default_rng(0)
        groups = [f"p{g}" for g in range(60) for _ in range(rng.integers(1, 6))]
        labels = [str(1 + int(group[1:]) % 3 + int(rng.integers(0, 2))) for group in groups]
        path = write_csv(tmp_path / "t.csv", text=[f"t{i}" for i in range(len(groups))], label=labels, group=groups)
        loaded = load_texts(path, columns="text")
        splits = loaded.dataset["split"][:]
        assert len(set(zip(groups, splits, strict=True))) == 60
        for name, total in Counter(labels).items():
            assert abs(counts_of(loaded)[name, "test"] - total / 5) <= 5  # one group
        assert loaded.dataset["group"][:] == groups
        first, second = warnings_in(caplog)
        assert first.startswith(f"{path} has no test split: {splits.count('test')} of its {len(labels)} training rows ")
        assert second.endswith("training rows become one, whole groups, about a fifth of each class.")

    def test_two_groups(self, tmp_path):
        images = [f"{i}.png" for i in range(5)]
        loaded = load_images(write_csv(tmp_path / "t.csv", image=images, label=[1, 2, 1, 2, 2], group=list("aabbb")))
        pairs = sorted(set(zip("aabbb", loaded.dataset["split"], strict=True)))
        assert pairs in ([("a", "test"), ("b", "train")], [("a", "train"), ("b", "test")])

    @pytest.mark.parametrize(("noun", "kind", "values"), [("texts", "text", "abcdefghijklmnopqrst"),
                                                          ("tables", "x", np.arange(20) / 8)])  # fmt: skip
    def test_equal_texts_and_rows(self, noun, kind, values, tmp_path, caplog):
        """They are counted where they are in more than one split, and may part when one is made."""
        columns = {kind: np.repeat(list(values), 2), "label": [0, 0, 1, 1] * 10}
        file = write_csv(tmp_path / "t.csv", **columns)
        splits = load_labeled_data(file, noun).dataset["split"][:]
        apart = sum(len(set(splits[k : k + 2])) > 1 for k in range(0, 40, 2))
        assert apart > 0
        (said,) = (text for text in warnings_in(caplog) if "copies" in text)
        called = {"tables": "rows"}.get(noun, noun)
        assert said.startswith(
            f"{file}: 20 of 40 {called} are copies of others by their content; {apart} are in more than one split, 0 "
            f"in more than one class. The first: {file}, split train, row "
        )
        assert said.endswith(
            f". A split that is made does not keep copies together; results on a test split that shares {called} with "
            "training are too good."
        )
        caplog.clear()
        file = write_csv(file, **columns, split=np.tile(np.repeat(["train", "val", "test", "train"], 2), 5))
        load_labeled_data(file, noun)
        assert "copies" not in caplog.text

    @pytest.mark.parametrize("kind", ["csv", "saved", "metadata"])
    def test_a_column_of_splits(self, kind, tmp_path, caplog):
        """Whatever names a folder may have, a cell may."""
        columns = {"label": ["1", "2", "2", "1"] * 3, "split": ["train", "hold-out", "Train_set", " dev "] * 3}
        source, load, inputs = tmp_path / "own", load_table, {"x": np.arange(12) / 8}
        if kind == "metadata":
            source.mkdir()
            write_csv(source / "metadata.csv", file_name=[f"{i}.png" for i in range(12)], **columns)
            load, inputs = load_images, {"image": None}
        else:
            content = inputs | columns
            source = write_source(source, content if kind == "csv" else Dataset.from_dict(content))
        rows = load(source).dataset
        assert rows.column_names == [*inputs, "label", "split"]
        assert rows["split"][:] == ["train", "test", "train", "validation"] * 3
        assert warnings_in(caplog) == [
            f"{source} has splits: Train_set as train (3), dev as validation (3), hold-out as test (3), train as "
            "train (3)."
        ]

    def test_a_class_with_one_row_is_trained_on(self, tmp_path):
        file = write_csv(tmp_path / "t.csv", x=np.arange(61) / 8, label=[1] * 50 + [2] * 10 + [3])
        counts = counts_of(load_table(file))
        assert (counts["1", "test"], counts["2", "test"], counts["3", "train"]) == (10, 2, 1)


PLAIN = {"x": np.arange(20) / 8, "label": [0, 1] * 10}
HALVES = Dataset.from_dict(PLAIN | {"split": ["train", "test"] * 10})


@pytest.mark.parametrize(
    ("content", "options", "columns", "message"),
    [
        (PLAIN | {"group": ["a", "NA", "b", "none", "c"] * 4}, {}, "x label split group",
         "SOURCE: the group 'NA', 'none' is taken for a group, of 8 rows. If it means that there is no group, leave "
         "these cells empty."),
        (PLAIN | {"group": list("abbac") * 4, "split": ["train", "val", "test", "train"] * 5}, {},
         "x label split group",
         "SOURCE has 3 groups in more than one split, the first: a, b, c. Results on such a test split are too good."),
        (PLAIN | {"split": ["train", "val", "test", "train"] * 5}, {"classes": [0, 1, 2, 3]}, "x label split",
         "SOURCE has no training row of the classes 2, 3."),
        (DatasetDict(train=HALVES, hold_out=HALVES), {}, "x label split",
         "SOURCE: the column split is left out, because the source has splits of its own."),
        (DatasetDict(train=HALVES, hold_out=HALVES), {}, "x label split",
         "SOURCE has splits: hold_out as test (20), train as train (20)."),
        (PLAIN | {"split": ["left", "right"] * 10}, {}, "x label split",
         f"SOURCE: the column split is left out, because its cells must be one of {KEYWORDS}."),
        (TABLE, GRADES, "x kind label split", "SOURCE: columns of neither numbers nor text are left out: list."),
        (TABLE, GRADES | {"columns": ["kind", "x"]}, "kind x label split", None),
    ],
)  # fmt: skip
def test_warnings_of_tables(content, options, columns, message, tmp_path, caplog):
    source = write_source(tmp_path / "own", content)
    dataset = load_table(source, **options).dataset
    assert dataset.column_names == columns.split()
    assert message is None or message.replace("SOURCE", str(source)) in warnings_in(caplog)
    if isinstance(content, DatasetDict):
        assert Counter(dataset["split"]) == {"train": 16, "validation": 4, "test": 20}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_files_of_texts(suffix, tmp_path):
    path = tmp_path / f"reviews.{suffix}"
    rows = pd.DataFrame({"text": [f"review {k}" for k in range(40)], "label": [k % 4 + 1 for k in range(40)]})
    if suffix == "parquet":
        rows.to_parquet(path)
    elif suffix.startswith("json"):
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    loaded = load_texts(path)
    assert loaded.class_names == ("1", "2", "3", "4")
    assert loaded.dataset["text"][:] == rows["text"].tolist()
    assert loaded.dataset["label"][:] == [k % 4 for k in range(40)]
    # A fifth of ten rows of each class, and about a fifth of the eight that are left.
    assert Counter(loaded.dataset["split"]) == {"train": 26, "validation": 6, "test": 8}
    assert {count for (_, split), count in counts_of(loaded).items() if split == "test"} == {2}
