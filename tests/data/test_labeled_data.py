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
from tests.data.files import message_of

from squared_emd.data.labeled_data import load_labeled_data

load_labeled_images = partial(load_labeled_data, noun="images")
load_labeled_sounds = partial(load_labeled_data, noun="sounds")
load_labeled_table = partial(load_labeled_data, noun="tables")
load_labeled_texts = partial(load_labeled_data, noun="texts")
CONVERT = "Repair them, or convert them to WAV, FLAC, Ogg or MP3."
OR_SKIP = ", or leave them out with --skip_incomplete (skip_incomplete=True)."
NUMBERS = itertools.count()
KEYWORDS = "train, training, validation, valid, dev, val, test, testing, eval, evaluation, holdout"


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("squared_emd")]


def write_image(path):
    """Each image has another content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (*divmod(next(NUMBERS), 256), 0)).save(path)


def write_sound(path):
    """Each sound has another content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(80, next(NUMBERS) / 2**15), 8000)
    return path.read_bytes()


def image_folder(root, counts):
    """`counts` says how many images each folder has."""
    for folder, count in counts.items():
        for i in range(count):
            write_image(root / folder / f"{i}.png")
    return root


def csv_file(path, /, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def image_csv(folder, labels, **columns):
    for i in range(len(labels)):
        write_image(folder / f"{i}.png")
    return csv_file(folder / "data.csv", image=[f"{i}.png" for i in range(len(labels))], label=labels, **columns)


def image_dataset(features=None, **columns):
    size = len(next(iter(columns.values())))
    images = [Image.new("RGB", (4, 3), (i, 0, 0)) for i in range(size)]
    features = features or {name: Dataset.from_dict({name: values}).features[name] for name, values in columns.items()}
    return Dataset.from_dict({"image": images, **columns}, features=Features({"image": datasets.Image(), **features}))


def names_of(loaded):
    return [loaded.class_names[label] for label in loaded.dataset["label"]]


def counts_of(loaded):
    return Counter(zip(names_of(loaded), loaded.dataset["split"], strict=True))


class TestFolders:
    def test_class_folders(self, tmp_path, caplog):
        root = image_folder(tmp_path / "own", {"9": 5, "10/nested": 10, "1": 5, "2": 0})
        (root / "2").mkdir()
        (root / "1" / "notes.txt").write_text("no image")
        loaded = load_labeled_images(root)
        assert loaded.class_names == ("1", "9", "10")
        assert loaded.dataset.features["label"] == ClassLabel(names=["1", "9", "10"])
        assert loaded.dataset.column_names == ["image", "label", "split"]
        assert counts_of(loaded) == {
            ("1", "train"): 4, ("1", "test"): 1, ("9", "train"): 4, ("9", "test"): 1, ("10", "train"): 8,
            ("10", "test"): 2,
        }  # fmt: skip
        assert loaded.dataset[0]["image"].size == (4, 3)
        for row in loaded.dataset:
            assert f"/own/{loaded.class_names[row['label']]}/" in row["image"].filename
        assert warnings_in(caplog) == [
            f"{root}: files left out because of their endings: 1 (1/notes.txt).",
            f"{root}: folders left out because they hold no images: 1 (2).",
            f"{root} is read as <class>/**/<file>; folders below those of classes are ignored.",
            f"{root} has no test split: 4 of its 20 training rows become one, a fifth of each class.",
        ]
        assert load_labeled_images(root).dataset["split"][:] == loaded.dataset["split"][:]

    def test_a_test_split_is_made_beside_a_validation_split(self, tmp_path):
        root = image_folder(tmp_path, {"train/a": 10, "train/b": 5, "val/a": 3, "val/b": 4})
        assert counts_of(load_labeled_images(root, ordered=False)) == {
            ("a", "train"): 8, ("a", "test"): 2, ("a", "validation"): 3,
            ("b", "train"): 4, ("b", "test"): 1, ("b", "validation"): 4,
        }  # fmt: skip

    def test_one_split_counts_as_none(self, tmp_path):
        loaded = load_labeled_images(image_folder(tmp_path, {"test/a": 5, "test/b": 5}), ordered=False)
        assert Counter(loaded.dataset["split"]) == {"train": 8, "test": 2}

    def test_errors(self, tmp_path):
        def refused(name, counts, **options):
            root = image_folder(tmp_path / name, counts)
            return message_of(ValueError, load_labeled_images, root, **options).removeprefix(str(root))

        assert refused("both", {"train/a": 1, "train/b": 1, "c": 1}).startswith(
            f" cannot be loaded as a dataset: {tmp_path}/both: folders of splits must be all on their level, above "
            "those of classes or in each; got train among c, train. Move them, or list all with --classes "
            "(classes=...) if all are classes. Own images are a folder of <class>/<file> or <split>/<class>/<file>, "
        )
        assert refused("untrained", {"val/1": 1, "val/2": 1, "test/1": 1}) == (
            " has no rows to train on, its splits are test, validation."
        )
        assert refused("one", {"1": 3}) == " must have at least two classes, it has: 1."
        assert refused("few", {"1": 1, "2": 1}) == (
            " has no test split, and its 2 training rows are too few, or of too few groups, to make one. Assign rows "
            "to the test split."
        )
        assert refused("few", {}, classes=["1", "3"]) == (
            ", split train, row 1: the label must be one of 1, 3; got '2'."
        )

    def test_metadata_that_a_spreadsheet_saved(self, tmp_path):
        for i in range(10):
            write_image(tmp_path / f"{i}.png")
        lines = ["file_name;label;grade", *(f"{i}.png;{('None', 'mild')[i % 2]};{('NA', 1)[i % 2]}" for i in range(10))]
        (tmp_path / "metadata.csv").write_text("\n".join(lines), encoding="utf-8-sig")
        for column, names in (("label", ["None", "mild"]), ("grade", ["NA", "1"])):
            loaded = load_labeled_images(tmp_path, classes=names, label_column=column)
            assert loaded.dataset["label"][:] == [0, 1] * 5

    def test_a_readme_beside_the_classes(self, tmp_path):
        """What datasets reads of it is followed, text in another encoding is not read, and broken YAML is named."""
        root = image_folder(tmp_path / "own", {"a": 5, "b": 5})
        (root / "README.md").write_bytes(b"Fotos \xfcber alles")
        assert load_labeled_images(root).class_names == ("a", "b")
        for name in "ab":
            csv_file(root / name / "metadata.csv", file_name=[f"{i}.png" for i in range(5)], label=[1, 2, 1, 2, 1])
        assert Counter(load_labeled_images(root).dataset["split"]) == {"train": 8, "test": 2}
        files = [{"split": "train", "path": "a/*"}, {"split": "test", "path": "b/*"}]
        card = {"configs": [{"config_name": "default", "data_files": files}]}
        (root / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
        assert Counter(load_labeled_images(root).dataset["split"]) == {"train": 5, "test": 5}
        (root / "README.md").write_text("---\nconfigs: [\n---\n")
        start = f"{root} cannot be loaded as a dataset: the YAML at the top of {root}/README.md cannot be read: "
        for load in (load_labeled_images, load_labeled_texts):
            assert message_of(ValueError, load, root).startswith(start)

    def test_metadata_and_split_folders(self, tmp_path, caplog):
        """The split is that of the folder, the label that of the metadata, wherever they lie."""
        root = image_folder(tmp_path / "own", {"train": 3, "holdout": 2})
        names = ["train/0.png", "train/1.png", "holdout/0.png"]
        csv_file(root / "metadata.csv", file_name=[*names, "holdout/9.png"], label=[10, 9, 9, 9])
        assert message_of(ValueError, load_labeled_images, root) == (
            f"1 of 4 images of {root} are missing or cannot be decoded, the first: {root}/holdout/9.png "
            "(missing). Repair them, or leave them out with --skip_bad_images "
            "(skip_bad_images=True)."
        )
        csv_file(root / "metadata.csv", file_name=names, label=[10, 9, 9])
        caplog.clear()
        loaded = load_labeled_images(root)
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
        assert counts_of(load_labeled_images(root)) == {
            ("a", "train"): 1, ("b", "train"): 2, ("b", "test"): 1, ("a", "test"): 1,
        }  # fmt: skip

    def test_data_files_that_load_dataset_passes_over(self, tmp_path, caplog):
        for name in ("train", "holdout"):
            csv_file(tmp_path / f"{name}.csv", text=list("abcd") * 3, label=[1, 2] * 6)
        load_labeled_texts(tmp_path)
        assert f"{tmp_path}: files left out because load_dataset reads others: 1 (holdout.csv)." in warnings_in(caplog)

    def test_sounds(self, tmp_path, caplog):
        for k in range(10):
            for grade in ("1 bad", "2 fair", "10 good"):
                write_sound(tmp_path / "own" / grade / f"{k}.WAV")
        loaded = load_labeled_sounds(tmp_path / "own")
        assert loaded.class_names == ("1 bad", "2 fair", "10 good")
        assert "they are ordered by their numbers: 1 bad, 2 fair, 10 good." in caplog.text
        assert Counter(loaded.dataset["split"]) == {"train": 19, "validation": 5, "test": 6}
        for name, sound in zip(names_of(loaded), loaded.dataset["audio"], strict=True):
            assert f"/own/{name}/" in sound["path"]


class TestImages:
    def test_every_column(self, tmp_path, caplog):
        for name in ("a/x", "a/y", "q"):
            write_image(tmp_path / "csv" / f"{name}.png")
        write_image(tmp_path / "z.png")
        file = csv_file(
            tmp_path / "csv" / "data.csv",
            path=["a/x.png", "a/y.png", "../z.png", "q.png"],
            label=["low", " high", "low", "high"],
            split=["Train", "dev", "test", "train"],
            group=["p1", "p2", "7", "p1"],
            other=range(4),
        )
        rows = load_labeled_images(file, classes=["low", "high"]).dataset
        assert rows.column_names == ["image", "label", "split", "group"]
        assert rows["label"][:] == [0, 1, 0, 1]
        assert rows["split"][:] == ["train", "validation", "test", "train"]
        assert rows["group"][:] == ["p1", "p2", "7", "p1"]
        assert rows[2]["image"].filename == str(tmp_path / "z.png")
        assert warnings_in(caplog) == []

    def test_named_columns(self, tmp_path):
        names = [f"{i}.png" for i in range(4)]
        file = image_csv(tmp_path, ["x"] * 4, photo=names, age=[10, 9.0, 9, 10], who=list("abcd"))
        loaded = load_labeled_images(file, columns="photo", label_column="age", group_column="who")
        assert loaded.class_names == ("9", "10") and names_of(loaded) == ["10", "9", "9", "10"]
        assert loaded.dataset["group"][:] == list("abcd")

    def test_bad_images(self, tmp_path, caplog):
        """A pipe would be read without end; a float image of 700 has no place in 0 .. 255."""
        root = image_folder(tmp_path / "own", {"1": 7, "2": 7})
        (root / "1" / "0.png").write_text("<html>")
        (root / "1" / "gone.png").symlink_to(root / "nowhere")
        os.mkfifo(root / "1" / "pipe.png")
        (root / "2" / "1.png").write_bytes((root / "2" / "1.png").read_bytes()[:45])
        Image.new("F", (2, 2), 700).save(root / "2" / "deep.tiff")
        what = (
            f"5 of 17 images of {root} are missing or cannot be decoded, the first: {root}/1/0.png (it is not an "
            f"image); {root}/1/gone.png (missing); {root}/1/pipe.png (it is not a regular file); {root}/2/1.png "
            f"(image file is truncated); {root}/2/deep.tiff (gray levels of the mode "
            "'F' must lie within 0 .. 1, got 700 .. 700. Rescale them first)"
        )
        assert message_of(ValueError, load_labeled_images, root) == (
            f"{what}. Repair them, or leave them out with --skip_bad_images (skip_bad_images=True)."
        )
        loaded = load_labeled_images(root, skip_bad_images=True)
        assert counts_of(loaded) == {("1", "train"): 5, ("2", "train"): 5, ("1", "test"): 1, ("2", "test"): 1}
        for row in loaded.dataset:
            assert f"/own/{loaded.class_names[row['label']]}/" in row["image"].filename
        assert f"{what}. They are left out." in warnings_in(caplog)

    def test_every_format_that_pillow_opens(self, tmp_path):
        endings = ("AVIF", "bmp", "dib", "gif", "JFIF", "jp2", "jpeg", "pgm", "Png", "qoi", "tga", "tif", "webp")
        (tmp_path / "1").mkdir()
        for k, ending in enumerate(endings):
            image = Image.new("RGB", (16, 16), (k, 0, 0))
            image.save(tmp_path / "1" / f"{k}.{ending}", Image.registered_extensions()[f".{ending.lower()}"])
        Image.new("I;16", (16, 16), 40_000).save(tmp_path / "1" / "deep.png")
        image_folder(tmp_path, {"2": 5})
        assert names_of(load_labeled_images(tmp_path)).count("1") == len(endings) + 1

    def test_bad_images_of_a_table(self, tmp_path, caplog):
        """What is in a parquet file is checked as files are."""
        rows = image_dataset(label=[0, 1] * 6).cast_column("image", datasets.Image(decode=False))
        images = [*rows["image"][:11], {"bytes": b"<html>", "path": "11.png"}]
        Dataset.from_dict({"image": images, "label": rows["label"][:]}).to_parquet(tmp_path / "t.parquet")
        file = tmp_path / "own.parquet"
        Dataset.from_parquet(str(tmp_path / "t.parquet")).cast_column("image", datasets.Image()).to_parquet(file)
        what = (
            f"1 of 12 images of {file} are missing or cannot be decoded, the first: {file}, split train, row 11, 11.png"
        )
        assert message_of(ValueError, load_labeled_images, file) == (
            f"{what} (it is not an image). Repair them, or leave them out with --skip_bad_images "
            "(skip_bad_images=True)."
        )
        loaded = load_labeled_images(file, skip_bad_images=True)
        assert [image.getpixel((0, 0))[0] for image in loaded.dataset["image"]] == list(range(11))
        assert f"{what} (it is not an image). They are left out." in warnings_in(caplog)

    def test_the_same_image_in_several_rows(self, tmp_path, caplog):
        root = image_folder(tmp_path / "own", {"1": 10, "2": 10})
        pairs = [(str(root / k / f"{i}.png"), str(root / k / f"copy of {i}.png")) for k in "12" for i in range(3)]
        for first, copy in pairs:
            shutil.copy(first, copy)
        loaded = load_labeled_images(root).dataset
        assert loaded.column_names == ["image", "label", "split", "content"] and "test" in loaded["split"][:]
        rows = zip(loaded["split"], loaded["content"], strict=True)
        found = dict(zip([image.filename for image in loaded["image"]], rows, strict=True))
        assert all(found[first] == found[copy] for first, copy in pairs)
        assert len(set(loaded["content"])) == 20
        assert next(text for text in warnings_in(caplog) if "copies" in text).startswith(
            f"{root}: 6 of 26 images are copies of others by their content; 0 are in more than one split, 0 in more "
            f"than one class. The first: {' = '.join(pairs[0])}; "
        )
        given = image_folder(tmp_path / "given", {"train/1": 2, "train/2": 2, "test/1": 1, "test/2": 1})
        shutil.copy(given / "train" / "1" / "0.png", given / "test" / "2" / "x.png")
        caplog.clear()
        assert Counter(load_labeled_images(given).dataset["split"]) == {"train": 4, "test": 3}
        assert warnings_in(caplog) == [
            f"{given}: 1 of 7 images are copies of others by their content; 1 are in more than one split, 1 in more "
            f"than one class. The first: {given}/train/1/0.png = {given}/test/2/x.png. A split that is made keeps "
            "copies together; results on a test split that shares images with training are too good."
        ]

    def test_saved_splits_with_class_labels(self, tmp_path):
        features = {"label": ClassLabel(names=["small", "medium", "large"]), "other": Value("int64")}
        parts = {
            "train": image_dataset(features, label=[2, 0, 1], other=[1, 2, 3]),
            "test": image_dataset(features, label=[1, 2], other=[4, 5]),
        }
        DatasetDict(parts).save_to_disk(tmp_path / "saved")
        loaded = load_labeled_images(tmp_path / "saved")
        assert loaded.class_names == ("small", "medium", "large")
        assert loaded.dataset["label"][:] == [2, 0, 1, 1, 2]
        assert loaded.dataset["split"][:] == ["train"] * 3 + ["test"] * 2
        assert [image.getpixel((0, 0))[0] for image in loaded.dataset["image"]] == [0, 1, 2, 0, 1]
        loaded = load_labeled_images(tmp_path / "saved", classes=["large", "medium", "small"])
        assert loaded.dataset["label"][:] == [0, 2, 1, 1, 0]
        assert message_of(ValueError, load_labeled_images, tmp_path / "saved", classes=["medium", "small"]) == (
            f"{tmp_path / 'saved'}, split train, row 0: the label must be one of medium, small; got 'large'."
        )

    def test_folder_of_parquet_files(self, tmp_path):
        (tmp_path / "data").mkdir()
        for split, labels in (("train", ["10", "9", "9", "8"]), ("validation", ["8"]), ("test", ["9"])):
            rows = image_dataset(age=labels, who=[7] * len(labels)).rename_column("image", "face")
            rows.to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
        loaded = load_labeled_images(tmp_path / "data", label_column="age", group_column="who")
        assert loaded.class_names == ("8", "9", "10") and names_of(loaded) == ["10", "9", "9", "8", "8", "9"]
        assert loaded.dataset["split"][:] == ["train"] * 4 + ["validation", "test"]
        assert loaded.dataset["group"][:] == ["7"] * 6
        assert loaded.dataset[3]["image"].getpixel((0, 0)) == (3, 0, 0)

    def test_a_hub_dataset(self, monkeypatch):
        def load(name):
            if name != "someone/own-data_1.0":
                raise ConnectionError(f"Couldn't reach {name!r} on the Hub")
            return DatasetDict(whole=image_dataset(label=[1, 2] * 5))

        monkeypatch.setattr("squared_emd.data.sources.load_dataset_builder", lambda name: None)
        monkeypatch.setattr("squared_emd.data.sources.load_dataset", load)
        assert Counter(load_labeled_images("someone/own-data_1.0").dataset["split"]) == {"train": 8, "test": 2}
        assert message_of(FileNotFoundError, load_labeled_images, "someone/data").startswith(
            "someone/data cannot be loaded as a dataset: Couldn't reach 'someone/data' on the Hub. Own images are "
        )

    def test_folders_of_the_hub_are_read_as_those_on_disk(self, monkeypatch, tmp_path):
        folders = [f"{split}/{k}" for split in ("train", "dev") for k in (1, 2, 10)]
        root = image_folder(tmp_path / "snapshot", dict.fromkeys(folders, 5))
        builder = datasets.load_dataset_builder("imagefolder", data_dir=str(root))
        monkeypatch.setattr("squared_emd.data.sources.load_dataset_builder", {"someone/photos": builder}.__getitem__)
        monkeypatch.setattr("squared_emd.data.sources.snapshot_download", lambda name, repo_type: str(root))
        loaded = load_labeled_images("someone/photos")
        on_disk = load_labeled_images(root)
        assert loaded.class_names == on_disk.class_names == ("1", "2", "10")
        assert counts_of(loaded) == counts_of(on_disk)
        assert {split for _, split in counts_of(loaded)} == {"train", "validation", "test"}

    def test_datasets_that_do_not_fit(self, tmp_path):
        def refused(name, rows):
            rows.save_to_disk(tmp_path / name)
            return message_of(ValueError, load_labeled_images, tmp_path / name).removeprefix(str(tmp_path / name))

        rows = image_dataset(label=[0, 1])
        assert refused("splits", DatasetDict(train=rows, extra=rows)) == (
            f": splits must be named {KEYWORDS}; got train, extra."
        )
        assert ": all splits must have the same columns, test has others: " in refused(
            "columns", DatasetDict(train=rows, test=image_dataset(label=["a", "b"]))
        )
        assert refused("none", rows.remove_columns("image")) == (
            " needs a column image or path or file or file_name, it has: none. Name it with --image_column."
        )
        assert refused("labels", image_dataset(label=[["a"], ["b"]])) == (
            ": label must be a ClassLabel, text, a number or a list of numbers (soft), got List(Value('string'))."
        )
        two = rows.add_column("mask", [b"", b""], feature=Value("binary")).cast_column("mask", datasets.Image())
        assert refused("two", two.rename_column("image", "face")) == (
            " needs a column image or path or file or file_name, it has: face, mask. Name it with --image_column."
        )


class TestLabels:
    def test_classes_without_rows(self, tmp_path, caplog):
        file = csv_file(tmp_path / "t.csv", text=list("abc"), label=[1, 2, 3], split=["train", "train", "test"])
        with pytest.raises(ValueError, match="has no validation split"):
            load_labeled_texts(file)
        file = csv_file(
            tmp_path / "u.csv", text=list("abcd"), label=[1, 2, 3, 2], split=["train", "train", "test", "val"]
        )
        assert load_labeled_texts(file, classes=[1, 2, 3, 4]).class_names == ("1", "2", "3", "4")
        assert warnings_in(caplog)[-1] == f"{file} has no training row of the classes 3, 4."

    def test_votes_in_columns(self, tmp_path):
        votes = {"bad": [1, 0.5, 0, 2], "good": [3, 0, 1e308, 0], "fair": [0, 0.5, 1e308, 0]}
        file = csv_file(
            tmp_path / "t.csv", text=list("abcd"), label=["?"] * 4, split=["train", "val", "test", "train"], **votes
        )
        loaded = load_labeled_texts(file, classes=["bad", "fair", "good"], columns="text")
        assert loaded.dataset.features["label"] == List(Value("float32"), length=3)
        expected = [[0.25, 0, 0.75], [0.5, 0.5, 0], [0, 0.5, 0.5], [1, 0, 0]]
        np.testing.assert_array_equal(loaded.dataset["label"][:], expected)
        assert (
            message_of(ValueError, load_labeled_texts, file, classes=list(votes), label_column="label", columns="text")
            == f"{file}, split train, row 0: the label must be one of bad, good, fair; got '?'."
        )

    @pytest.mark.parametrize(
        ("names", "ordered"),
        [
            (["1", "10", "2"], ("1", "2", "10")),
            (["0-2", "10-19", "3-9"], ("0-2", "3-9", "10-19")),
            (["b", "c", "a"], ("b", "c", "a")),
            (["2", "1", "3"], ("2", "1", "3")),
        ],
    )
    def test_class_labels_that_are_sorted_as_text(self, names, ordered, tmp_path):
        features = Features({"x": Value("float32"), "label": ClassLabel(names=names)})
        Dataset.from_dict({"x": [0.5] * 30, "label": [0, 1, 2] * 10}, features).save_to_disk(tmp_path / "saved")
        dataset, class_names = load_labeled_table(tmp_path / "saved", needs_order=True)
        assert class_names == ordered and [class_names[k] for k in dataset["label"][:3]] == names

    def test_a_class_label_in_the_order_of_the_alphabet(self, tmp_path):
        rows = Dataset.from_dict({"x": [0.5] * 20, "label": ["bad", "poor", "fair", "good"] * 5})
        rows.class_encode_column("label").save_to_disk(tmp_path / "saved")
        assert message_of(ValueError, load_labeled_table, tmp_path / "saved", needs_order=True) == (
            f"{tmp_path / 'saved'} does not define an order of its classes, which a loss of this run needs. List "
            "them from the lowest to the highest with --classes (classes=...). In the order of the alphabet, to be put "
            "right: --classes bad fair good poor"
        )

    def test_lists_of_numbers(self, tmp_path):
        path = tmp_path / "saved"
        Dataset.from_dict({"text": list("abc") * 4, "label": [[1, 3], [0, 2], [5, 5]] * 4}).save_to_disk(path)
        loaded = load_labeled_texts(path, classes=["no", "yes"])
        np.testing.assert_array_equal(loaded.dataset["label"][:3], [[0.25, 0.75], [0, 1], [0.5, 0.5]])
        assert load_labeled_texts(path).class_names == ("0", "1")
        assert message_of(ValueError, load_labeled_texts, path, classes=["no", "yes", "both"]) == (
            f"{path}, split train, row 0: a soft label must be 3 numbers, one for each of no, yes, both, none negative "
            "and not all 0; got 1, 3."
        )

    @pytest.mark.parametrize(
        ("labels", "kind", "row"),
        [
            ([0, 1, -1], ClassLabel(names=["a", "b"]), 2),
            ([0, None, 1], ClassLabel(names=["a", "b"]), 1),
            (["a", "b", " "], Value("string"), 2),
            ([1.0, float("nan"), 2.0], Value("float32"), 1),
        ],
    )
    def test_missing_labels(self, tmp_path, labels, kind, row):
        rows = Dataset.from_dict(
            {"text": list("abc"), "label": labels}, features=Features({"text": Value("string"), "label": kind})
        )
        DatasetDict(train=rows.select([row - 1]), test=rows.select([row])).save_to_disk(tmp_path / "saved")
        assert message_of(ValueError, load_labeled_texts, tmp_path / "saved") == (
            f"{tmp_path / 'saved'}, split test, row 0: there is no label (in 1 of 2 rows). Remove such rows{OR_SKIP}"
        )


class TestIncompleteRows:
    """Rows 1, 4 and 7 lack something; an error after they are left out still counts as the file does."""

    @pytest.mark.parametrize(
        ("noun", "lacking", "what"),
        [
            ("texts", {"text": [None, " ", ""]}, "text"),
            ("sounds", {"audio": [None, " ", ""]}, "sound"),
            ("images", {"image": [None, " ", ""]}, "image"),
            ("tables", {"label": [None, " ", ""]}, "label"),
            ("tables", {"group": [None, " ", ""]}, "group"),
            ("tables", {"label": [None, None, None], "x": [None] * 3}, "label"),
        ],
    )
    def test_they_are_counted(self, noun, lacking, what, tmp_path, caplog):
        path, columns = (
            tmp_path / "t.csv",
            {"label": [1, 2, 3] * 10, "group": ["p", "q", "r"] * 10, "x": [0.5, 1.5] * 15},
        )
        columns |= {
            "texts": {"text": ["a"] * 30},
            "images": {"image": [f"{i}.png" for i in range(30)]},
            "sounds": {"audio": [f"{i}.wav" for i in range(30)]},
        }.get(noun, {})
        for i in range(30):
            write_image(tmp_path / f"{i}.png") if noun == "images" else write_sound(tmp_path / f"{i}.wav")
        rows = pd.DataFrame(columns).astype(dict.fromkeys(lacking, object))
        for name, values in lacking.items():
            rows.loc[[1, 4, 7], name] = values
        rows.to_csv(path, index=False)
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

    def test_votes(self, tmp_path, caplog):
        path = csv_file(tmp_path / "t.csv", x=[1, 2] * 10, bad=[1, None] * 10, good=[3, 1] * 10)
        assert message_of(ValueError, load_labeled_table, path, classes=["bad", "good"]) == (
            f"{path}, split train, row 1: there is no vote for a class (in 10 of 20 rows). Remove such rows{OR_SKIP}"
        )
        loaded = load_labeled_table(path, classes=["bad", "good"], skip_incomplete=True)
        assert loaded.dataset["label"][:] == [[0.25, 0.75]] * 10

    def test_nothing_would_be_left(self, tmp_path):
        path = csv_file(tmp_path / "t.csv", text=["a", "b"], label=[None, None])
        assert message_of(ValueError, load_labeled_texts, path, skip_incomplete=True).startswith(
            f"{path}, split train, row 0: there is no label (in 2 of 2 rows). "
        )


class TestSplits:
    def test_no_group_is_divided(self, tmp_path, caplog):
        rng = np.random.default_rng(0)
        groups = [f"p{g}" for g in range(60) for _ in range(rng.integers(1, 6))]
        labels = [str(1 + int(group[1:]) % 3 + int(rng.integers(0, 2))) for group in groups]
        path = tmp_path / "t.csv"
        csv_file(path, text=[f"t{i}" for i in range(len(groups))], label=labels, group=groups)
        loaded = load_labeled_texts(path, columns="text")
        splits = loaded.dataset["split"][:]
        assert len(set(zip(groups, splits, strict=True))) == 60
        for name, total in Counter(labels).items():
            test = sum(text == name and split == "test" for text, split in zip(names_of(loaded), splits, strict=True))
            assert abs(test - total / 5) <= 5  # one group
        assert loaded.dataset["group"][:] == groups
        first, second = warnings_in(caplog)
        assert first.startswith(f"{path} has no test split: {splits.count('test')} of its {len(labels)} training rows ")
        assert second.endswith("training rows become one, whole groups, about a fifth of each class.")

    def test_few_groups(self, tmp_path):
        loaded = load_labeled_images(image_csv(tmp_path, [1, 2, 1, 2, 2], group=list("aabbb")))
        assert set(zip("aabbb", loaded.dataset["split"], strict=True)) in (
            {("a", "test"), ("b", "train")},
            {("b", "test"), ("a", "train")},
        )
        file = image_csv(tmp_path, [1, 2], group=list("aa"))
        assert "or of too few groups, to make one" in message_of(ValueError, load_labeled_images, file)

    @pytest.mark.parametrize(("noun", "kind"), [("texts", "text"), ("rows", "x")])
    def test_equal_texts_and_rows(self, noun, kind, tmp_path, caplog):
        """They are counted where they are in more than one split, and may part when one is made."""
        load, values = (load_labeled_texts, [f"t{k // 2}" for k in range(40)])
        if kind == "x":
            load, values = load_labeled_table, [k // 2 / 8 for k in range(40)]
        file = csv_file(tmp_path / "t.csv", **{kind: values}, label=[0, 0, 1, 1] * 10)
        splits = load(file).dataset["split"][:]
        apart = sum(len(set(splits[k : k + 2])) > 1 for k in range(0, 40, 2))
        assert apart > 0
        (said,) = (text for text in warnings_in(caplog) if "copies" in text)
        assert said.startswith(
            f"{file}: 20 of 40 {noun} are copies of others by their content; {apart} are in more than one split, 0 in "
            f"more than one class. The first: {file}, split train, row "
        )
        assert said.endswith(
            f". A split that is made does not keep copies together; results on a test split that shares {noun} with "
            "training are too good."
        )

    def test_groups_that_are_called_as_missing_values(self, tmp_path, caplog):
        file = csv_file(tmp_path / "t.csv", x=np.arange(20), label=[0, 1] * 10, group=["a", "NA", "b", "none", "c"] * 4)
        load_labeled_table(file, columns=["x"])
        assert warnings_in(caplog)[0] == (
            f"{file}: the group 'NA', 'none' is taken for a group, of 8 rows. If it means that there is no group, "
            "leave these cells empty."
        )

    def test_groups_that_the_source_divides(self, tmp_path, caplog):
        file = image_csv(tmp_path, [1, 2, 1, 2], group=list("abba"), split=["train", "train", "test", "train"])
        assert load_labeled_images(file).dataset["split"][:] == ["train", "train", "test", "train"]
        assert warnings_in(caplog) == [
            f"{file} has 1 groups in more than one split, the first: b. Results on such a test split are too good."
        ]

    @pytest.mark.parametrize("kind", ["csv", "saved", "metadata"])
    def test_a_column_of_splits(self, kind, tmp_path, caplog):
        """Whatever names a folder may have, a cell may."""
        columns = {"label": ["1", "2", "2", "1"] * 3, "split": ["train", "hold-out", "Train_set", " dev "] * 3}
        source, load = tmp_path / "own", load_labeled_images if kind == "metadata" else load_labeled_table
        if kind == "metadata":
            csv_file(image_folder(tmp_path, {"own": 12}) / "own" / "metadata.csv",
                     file_name=[f"{i}.png" for i in range(12)], **columns)  # fmt: skip
        elif kind == "csv":
            source = csv_file(tmp_path / "data.csv", x=np.arange(12) / 8, **columns)
        else:
            Dataset.from_dict({"x": np.arange(12) / 8} | columns).save_to_disk(source)
        rows = load(source).dataset
        assert rows.column_names == ["image" if kind == "metadata" else "x", "label", "split"]
        assert rows["split"][:] == ["train", "test", "train", "validation"] * 3
        assert warnings_in(caplog) == [
            f"{source} has splits: Train_set as train (3), dev as validation (3), hold-out as test (3), train as "
            "train (3)."
        ]

    def test_a_column_of_splits_that_is_none(self, tmp_path, caplog):
        """It is never an input."""
        rows = Dataset.from_dict({"x": np.arange(10) / 8, "label": [0, 1] * 5, "split": ["train", "test"] * 5})
        DatasetDict(train=rows, hold_out=rows).save_to_disk(tmp_path / "own")
        loaded = load_labeled_table(tmp_path / "own").dataset
        assert loaded.column_names == ["x", "label", "split"]
        assert Counter(loaded["split"]) == {"train": 8, "validation": 2, "test": 10}
        assert warnings_in(caplog)[0] == (
            f"{tmp_path / 'own'}: the column split is left out, because the source has splits of its own."
        )
        assert f"{tmp_path / 'own'} has splits: hold_out as test (10), train as train (10)." in warnings_in(caplog)
        file = csv_file(tmp_path / "t.csv", x=np.arange(10) / 8, label=[0, 1] * 5, split=["left", "right"] * 5)
        caplog.clear()
        assert load_labeled_table(file).dataset.column_names == ["x", "label", "split"]
        assert warnings_in(caplog)[0] == (
            f"{file}: the column split is left out, because its cells must be one of {KEYWORDS}."
        )

    def test_a_class_with_one_row_is_trained_on(self, tmp_path):
        labels = [1] * 50 + [2] * 7 + [3] * 2 + [4]
        loaded = load_labeled_images(image_csv(tmp_path, labels))
        test = counts_of(loaded)
        assert (test["1", "test"], test["4", "test"]) == (10, 0)
        assert test["2", "test"] in (1, 2) and test["3", "test"] <= 1


class TestTexts:
    @pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
    def test_files(self, suffix, tmp_path):
        path = tmp_path / f"reviews.{suffix}"
        rows = pd.DataFrame({"text": [f"review {k}" for k in range(40)], "label": [k % 4 + 1 for k in range(40)]})
        if suffix == "parquet":
            rows.to_parquet(path)
        elif suffix.startswith("json"):
            rows.to_json(path, orient="records", lines=True)
        else:
            rows.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
        texts, names = load_labeled_texts(path)
        assert names == ("1", "2", "3", "4")
        assert texts["text"][:] == rows["text"].tolist()
        assert texts["label"][:] == [k % 4 for k in range(40)]
        # A fifth of ten rows of each class, and about a fifth of the eight that are left.
        assert Counter(texts["split"]) == {"train": 26, "validation": 6, "test": 8}
        assert {count for (split, _), count in Counter(zip(texts["split"], texts["label"], strict=True)).items()
                if split == "test"} == {2}  # fmt: skip

    def test_the_only_column_of_text(self, tmp_path):
        grades = ["mild", "none", "severe"] * 10
        path = csv_file(tmp_path / "notes.csv", body=[f"body {k}" for k in range(30)], grade=grades, id=range(30))
        texts, names = load_labeled_texts(path, label_column="grade", classes=["none", "mild", "severe"])
        assert names == ("none", "mild", "severe") and texts["label"][:3] == [1, 0, 2]
        assert texts.column_names == ["text", "label", "split"]

    def test_errors(self, tmp_path):
        path = csv_file(tmp_path / "r.csv", body=["a", "c"] * 5, title=["b", "d"] * 5, stars=[1, 2] * 5)
        assert message_of(ValueError, load_labeled_texts, path) == (
            f"{path} needs a column label, it has: body, title, stars. Name it with --label_column."
        )
        assert message_of(ValueError, load_labeled_texts, path, label_column="years") == (
            f"{path} needs a column 'years', it has: body, title, stars. Name it with --label_column."
        )
        stars = {"label_column": "stars"}
        assert message_of(ValueError, load_labeled_texts, path, **stars) == (
            f"{path} needs a column text, it has: body, title. Name it with --text_column."
        )
        assert message_of(ValueError, load_labeled_texts, path, **stars, columns="stars") == (
            f"{path}: stars must be a column of text, not that of labels, groups or splits; got Value('large_string')."
        )
        assert message_of(ValueError, load_labeled_texts, path, **stars, group_column="who") == (
            f"{path} needs a column 'who', it has: body, title, stars. Name it with --group_column."
        )
        bad_split = csv_file(tmp_path / "s.csv", text=["a", "b"], label=[1, 2], split=["train", "rest"])
        assert message_of(ValueError, load_labeled_texts, bad_split, columns="text") == (
            f"{bad_split}, split train, row 1: split must be one of {KEYWORDS}; got 'rest'."
        )

    @pytest.mark.parametrize(
        ("name", "content", "kind", "message"),
        [
            ("absent.csv", None, FileNotFoundError, "There is no {path}. Own texts are "),
            ("no/such/folder", None, FileNotFoundError, "There is no {path}. Own texts are "),
            ("pipe.csv", os.mkfifo, ValueError, "{path} is neither a regular file nor a folder. Own texts are "),
            ("r.xlsx", b"", ValueError, "A file must be one of .csv, .tsv, .json, .jsonl, .parquet, got {path}. "),
            ("rows.csv", b"text,label\n", ValueError, "{path} has no rows. "),
        ],
    )
    def test_files_that_cannot_be_read(self, name, content, kind, message, tmp_path):
        path = tmp_path / name
        if callable(content):
            content(path)
        elif content is not None:
            path.write_bytes(content)
        assert message.format(path=path) in message_of(kind, load_labeled_texts, path)


class TestSounds:
    def test_a_file_of_paths(self, tmp_path):
        names = [f"wav/{k}.wav" for k in range(12)]
        for name in names:
            write_sound(tmp_path / name)
        path = csv_file(tmp_path / "s.csv", path=names, grade=[0, 1] * 6)
        loaded = load_labeled_sounds(path, label_column="grade")
        assert loaded.dataset["audio"][:] == [{"bytes": None, "path": str(tmp_path / name)} for name in names]
        (tmp_path / "wav" / "3.wav").unlink()
        (tmp_path / "wav" / "5.wav").write_bytes(b"RIFF")
        assert message_of(ValueError, load_labeled_sounds, path, label_column="grade") == (
            f"2 of 12 sounds of {path} are missing or cannot be decoded, the first: {tmp_path}/wav/3.wav (missing); "
            f"{tmp_path}/wav/5.wav (Format not recognised). {CONVERT}"
        )

    def test_bytes_in_a_table(self, tmp_path):
        contents = [write_sound(tmp_path / "s.wav") for _ in range(10)]
        table = Dataset.from_dict({"sound": [{"bytes": c, "path": None} for c in contents], "label": [0, 1] * 5})
        table.cast_column("sound", Audio(decode=False)).save_to_disk(tmp_path / "saved")
        loaded = load_labeled_sounds(tmp_path / "saved")
        assert loaded.dataset.column_names == ["audio", "label", "split"]
        assert loaded.dataset[0]["audio"] == {"bytes": contents[0], "path": None}
        broken = Dataset.from_dict({"audio": [{"bytes": b"RIFF", "path": None}] * 2, "label": [0, 1]})
        broken.cast_column("audio", Audio(decode=False)).save_to_disk(tmp_path / "broken")
        rows = "; ".join(f"{tmp_path}/broken, split train, row {i} (Format not recognised)" for i in range(2))
        assert message_of(ValueError, load_labeled_sounds, tmp_path / "broken") == (
            f"2 of 2 sounds of {tmp_path}/broken are missing or cannot be decoded, the first: {rows}. {CONVERT}"
        )


class TestTables:
    def test_columns(self, tmp_path, caplog):
        rows = {
            "x": [1, None, 3] * 10,
            "kind": ["a", "b"] * 15,
            "grade": ["low", "mid", "high"] * 10,
            "list": [[1]] * 30,
        }
        path = tmp_path / "t.parquet"
        Dataset.from_dict(rows).to_parquet(path)
        options = {"label_column": "grade", "classes": ["low", "mid", "high"]}
        loaded = load_labeled_table(path, **options)
        assert loaded.class_names == ("low", "mid", "high")
        assert loaded.dataset.column_names == ["x", "kind", "label", "split"]
        assert warnings_in(caplog)[0] == f"{path}: columns of neither numbers nor text are left out: list."
        chosen = load_labeled_table(path, **options, columns=["kind", "x"])
        assert chosen.dataset.column_names == ["kind", "x", "label", "split"]
        assert message_of(ValueError, load_labeled_table, path, **options, columns=["x", "grade", "y"]) == (
            f"{path}: feature_columns must be columns of numbers or text other than label, group and split; got grade, "
            "y. Choose from: x, kind."
        )
        assert message_of(ValueError, load_labeled_table, path, **options, columns=[]) == (
            f"{path} must have a column of numbers or text, its columns are x, kind, grade, list."
        )
        ids = csv_file(tmp_path / "i.csv", index=range(20), label=[0, 1] * 10)
        assert message_of(ValueError, load_labeled_table, ids) == (
            f"{ids} must have a column of numbers or text, its columns are index, label."
        )
        assert "columns that number or name the rows are left out: index." in warnings_in(caplog)[-1]
        other = csv_file(tmp_path / "o.csv", group=[0.5, 1.5] * 10, label=[0, 1] * 10, who=list("aabbccddee") * 2)
        assert load_labeled_table(other, group_column="who").dataset[2] == (
            {"group (input)": 0.5, "label": 0, "split": "train", "group": "b"}
        )
        bare = csv_file(tmp_path / "b.csv", label=[0, 1])
        assert message_of(ValueError, load_labeled_table, bare) == (
            f"{bare} must have a column of numbers or text, its columns are label."
        )
