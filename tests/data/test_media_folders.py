"""Which files of a folder are of which split and class, and what is said about the others."""

import os

import pytest
from tests.errors import message_of

from squared_emd.data.media_folders import scan_folder


def make(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def read(root):
    """Split -> sorted pairs of class and file, relative to the root."""
    rows = scan_folder(root, {".png", ".jpg"}).rows("images")
    found = {}
    for path, label, split in zip(*rows, strict=True):
        found.setdefault(split, []).append((label, os.path.relpath(path, root)))
    return {split: sorted(pairs) for split, pairs in found.items()}


@pytest.mark.parametrize(
    ("files", "expected", "message"),
    [
        ("1/a 10/b", {"train": "1 10"}, None),
        ("train/1/a test/2/b validation/1/c", {"train": "1", "validation": "1", "test": "2"}, None),
        (
            "Train/1/a valid/1/b val/2/c dev/2/d training/2/e holdout/1/f",
            {"train": "1 2", "validation": "1 2 2", "test": "1"},
            "<split>/<class>/<file>; splits: Train as train (1), dev as validation (1), holdout as test (1), "
            "training as train (1), val as validation (1), valid as validation (1)",
        ),
        (
            "faces/Train_set/1/a faces/hold-out/2/b",
            {"train": "1", "test": "2"},
            "*/<split>/<class>/<file>; splits: Train_set as train (1), hold-out as test (1)",
        ),
        (
            "seg_train/seg_train/sea/a seg_train/seg_train/ice/b seg_test/seg_test/sea/c",
            {"train": "ice sea", "test": "sea"},
            "<split>/*/<class>/<file>; splits: seg_test as test (1), seg_train as train (2)",
        ),
        (
            "train/images/1/a test/images/1/b test/images/2/c",
            {"train": "1", "test": "1 2"},
            "<split>/*/<class>/<file>; splits: test as test (2), train as train (1)",
        ),
        (
            "good/train/a good/test/b bad/train/c",
            {"train": "bad good", "test": "good"},
            "<class>/<split>/<file>; splits: test as test (1), train as train (2)",
        ),
        ("photos/1/a photos/10/b photos/2/c", {"train": "1 10 2"}, "*/<class>/<file>"),
        (
            "happy/ann/a happy/bob/b sad/ann/c",
            {"train": "happy happy sad"},
            "<class>/**/<file>; folders below those of classes are ignored",
        ),
        (
            "a/x/1 a/2 b/3",
            {"train": "a a b"},
            "<class>/**/<file>; folders below those of classes are ignored",
        ),
        ("training_shoe/a test_tube/b", {"train": "test_tube training_shoe"}, None),
        ("train_val/a other/b", {"train": "other train_val"}, None),
    ],
)  # fmt: skip
def test_splits_and_classes(files, expected, message, tmp_path, caplog):
    make(tmp_path, *(f"{file}.png" for file in files.split()))
    found = read(tmp_path)
    assert {split: " ".join(label for label, _ in rows) for split, rows in found.items()} == expected
    assert {file for rows in found.values() for _, file in rows} == {f"{file}.png" for file in files.split()}
    assert caplog.messages == ([f"{tmp_path} is read as {message}."] if message else [])


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ("train/1/a test/2/b rest/1/c", "test, train among rest, test, train"),
        ("train/a test/b", "test, train among test, train"),
        ("north/train/1/a south/test/1/b", "test, train among test, train"),
        ("cat/train/a cat/test/b dog/c", "test, train among test, train"),
    ],
)
def test_folders_that_can_be_read_in_two_ways(files, found, tmp_path):
    make(tmp_path, *(f"{file}.png" for file in files.split()))
    assert message_of(ValueError, read, tmp_path) == (
        f"{tmp_path}: folders of splits must be all on their level, above those of classes or in each; got "
        f"{found}. Move them, or list all with --classes (classes=...) if all are classes"
    )


@pytest.mark.parametrize("names", ["bus car train", "test train"])
def test_classes_that_are_called_as_splits(names, tmp_path):
    make(tmp_path, *(f"{name}/a.png" for name in names.split()))
    folder = scan_folder(tmp_path, {".png"})
    assert folder.rows("images", names.split()).labels == names.split()
    with pytest.raises(ValueError):
        folder.rows("images", ["bus", "car"])


def test_what_is_left_out_is_counted_and_named(tmp_path, caplog):
    make(tmp_path, "1/a.PNG", "2/b.Jpg", "2/b.txt", "1/Thumbs.db", "c.png", ".hidden/d.png", "__MACOSX/1/a.png")
    (tmp_path / "3" / "deep").mkdir(parents=True)
    (tmp_path / "1" / "x.png").mkdir()
    (tmp_path / "1" / "up").symlink_to(tmp_path)
    assert read(tmp_path) == {"train": [("1", "1/a.PNG"), ("2", "2/b.Jpg")]}
    assert caplog.messages == [
        f"{tmp_path}: files left out because of their endings: 2 (1/Thumbs.db, 2/b.txt).",
        f"{tmp_path}: images left out because no folder of a class holds them: 1 (c.png).",
        f"{tmp_path}: folders left out because they hold no images: 2 (1/x.png, 3).",
    ]


def test_names_that_are_not_utf8(tmp_path):
    make(tmp_path, "1/a.png", "2/b.png")
    odd = os.fsencode(tmp_path) + b"/2/\xe4.png"
    os.rename(tmp_path / "2" / "b.png", odd)
    assert message_of(ValueError, read, tmp_path) == (
        f"names of files and folders must be valid UTF-8, 1 are not, the first: {odd!r}. Rename them"
    )


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    make(tmp_path, "1/a.png", "2/b.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("2"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read every folder
    with pytest.raises(PermissionError, match=r"Permission denied: '.*/2'$"):
        read(tmp_path)
