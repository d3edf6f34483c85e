import csv
import logging
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset
from PIL import Image

from squared_emd.data.adience import (
    AGE_BOUNDS,
    AGE_GROUPS,
    LAYOUT,
    ODD_LABELS,
    load_adience,
)
from squared_emd.data.splits import fold_split, validation_split

HEADER = "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\ttilt_ang\tfiducial_yaw_angle\tfiducial_score"
PREFIX = {"aligned": "landmark_aligned_face", "faces": "coarse_tilt_aligned_face"}
AS_ADIENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "as_adience.py"
FAIRFACE = AS_ADIENCE.parent / "fairface"

# Each label of the published files that is none of the eight, with the index of its group worked out by hand.
ODD = {
    "None": None, "35": None, "13": 2, "22": 3, "34": 4, "23": 4, "45": 5, "55": 6, "(27, 32)": 4, "(25, 23)": 4,
    "36": 5, "(38, 42)": 5, "57": 7, "3": None, "29": 4, "(38, 48)": None, "58": 7, "2": 0, "32": 4, "56": 6,
    "(8, 23)": None, "42": 5, "46": 6,
}  # fmt: skip


def jpeg(path, size=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((size, size), 60).convert("RGB").save(path, "JPEG")


def row(user, image, age, face="1"):
    return "\t".join([user, image, face, age, "f", "0", "0", "16", "16", "0", "0", "50"])


def write_folds(folder, folds):
    folder.mkdir(parents=True, exist_ok=True)
    for k, rows in enumerate(folds):
        (folder / f"fold_{k}_data.txt").write_text("\n".join([HEADER, *rows]) + "\n")


def make_tree(root, *, kind="aligned", below="", extra=()):
    """Five folds, one user in each, with the eight labels; `extra` are more ages of the user of fold 0."""
    folds = []
    for k in range(5):
        ages = [str(bounds) for bounds in AGE_BOUNDS] + (list(extra) if k == 0 else [])
        rows = []
        for i, age in enumerate(ages):
            rows.append(row(f"{k}@N00", f"{i}.jpg", age))
            jpeg(root / kind / f"{k}@N00" / f"{PREFIX[kind]}.1.{i}.jpg")
        folds.append(rows)
    write_folds(root / below, folds)
    return root


def picture(root, user="0@N00", i=0):
    return root / "aligned" / user / f"{PREFIX['aligned']}.1.{i}.jpg"


def change_line(root, number, text, fold=0):
    """Writes another line into a fold file; the header is line 1."""
    file = root / f"fold_{fold}_data.txt"
    lines = file.read_text().splitlines()
    lines[number - 1] = text
    file.write_text("\n".join(lines) + "\n")
    return file


def message_of(error, call, *args, **options):
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert caught.type is error
    return str(caught.value)


def test_columns_order_and_pictures(tmp_path):
    dataset = load_adience(make_tree(tmp_path))
    assert AGE_GROUPS == ("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60-")
    assert dataset.column_names == ["image", "label", "user_id", "fold"]
    assert tuple(dataset.features["label"].names) == AGE_GROUPS
    assert dataset["label"][:] == list(range(8)) * 5
    assert dataset["fold"][:] == [k for k in range(5) for _ in range(8)]
    assert dataset["user_id"][8] == "1@N00"
    assert dataset[9]["image"].size == (16, 16)
    assert dataset[9]["image"].filename == str(picture(tmp_path, "1@N00", 1))


@pytest.mark.parametrize("kind", ["aligned", "faces"])
@pytest.mark.parametrize("below", ["", "folds"])
def test_both_kinds_of_pictures_and_both_places_of_fold_files(tmp_path, kind, below):
    make_tree(tmp_path, kind=kind, below=below)
    for pictures in ("auto", kind):
        dataset = load_adience(tmp_path, images=pictures)
        assert len(dataset) == 40
        assert f"/{kind}/" in dataset[0]["image"].filename


def test_auto_takes_aligned_where_both_exist(tmp_path):
    make_tree(tmp_path, kind="faces")
    make_tree(tmp_path, kind="aligned")
    assert "/aligned/" in load_adience(tmp_path)[0]["image"].filename
    assert "/faces/" in load_adience(tmp_path, images="faces")[0]["image"].filename


def test_a_relative_folder_works_from_elsewhere(tmp_path, monkeypatch):
    make_tree(tmp_path / "adience")
    monkeypatch.chdir(tmp_path)
    dataset = load_adience("adience")
    monkeypatch.chdir("/")
    assert dataset[0]["image"].size == (16, 16)


def test_odd_labels(tmp_path):
    make_tree(tmp_path, extra=ODD)
    assert {age: None if group is None else AGE_GROUPS[group] for age, group in ODD.items()} == ODD_LABELS
    assert len(load_adience(tmp_path)) == 40
    mapped = load_adience(tmp_path, odd_labels="map")
    fold_0 = [label for label, fold in zip(mapped["label"], mapped["fold"], strict=True) if fold == 0]
    assert fold_0 == [*range(8), *(group for group in ODD.values() if group is not None)]


def test_ages_that_are_not_in_the_table(tmp_path):
    unseen = {"0": 0, "7": None, "14": 3, "21": 3, "24": 4, "33": 4, "37": 5, "54": 6, "99": 7, "101": 7, "(25,32)": 4,
              "(5, 6)": 1, "(4, 12)": None}  # fmt: skip
    make_tree(tmp_path, extra=unseen)
    assert len(load_adience(tmp_path)) == 41  # "(25,32)" is one of the eight, written without a blank
    mapped = load_adience(tmp_path, odd_labels="map")["label"]
    assert mapped[8:-32] == [group for group in unseen.values() if group is not None]


def test_repeated_rows_are_kept(tmp_path):
    make_tree(tmp_path)
    file = tmp_path / "fold_2_data.txt"
    file.write_text(file.read_text() + row("2@N00", "0.jpg", "(0, 2)") + "\n\n")
    assert len(load_adience(tmp_path)) == 41


def test_windows_line_ends(tmp_path):
    make_tree(tmp_path)
    for k in range(5):
        file = tmp_path / f"fold_{k}_data.txt"
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert len(load_adience(tmp_path)) == 40


def test_nothing_is_written(tmp_path, monkeypatch):
    make_tree(tmp_path / "adience")
    before = sorted(tmp_path.rglob("*"))
    train, _ = fold_split(load_adience(tmp_path / "adience"), 0)
    validation_split(train, seed=0)
    assert train.cache_files == []
    assert sorted(tmp_path.rglob("*")) == before


def test_unknown_options(tmp_path):
    assert message_of(ValueError, load_adience, tmp_path, odd_labels="keep") == (
        'odd_labels must be "drop" or "map", got \'keep\'.'
    )
    assert message_of(ValueError, load_adience, tmp_path, images="all") == (
        'images must be "auto", "aligned" or "faces", got \'all\'.'
    )


def test_missing_pictures_folder(tmp_path):
    make_tree(tmp_path)
    assert message_of(FileNotFoundError, load_adience, tmp_path, images="faces") == (
        f"The images must lie in faces/ in {tmp_path}. {LAYOUT}."
    )
    (tmp_path / "aligned").rename(tmp_path / "other")
    assert message_of(FileNotFoundError, load_adience, tmp_path) == (
        f"The images must lie in aligned/ or faces/ in {tmp_path}. {LAYOUT}."
    )


def test_header_without_a_column(tmp_path):
    file = change_line(make_tree(tmp_path), 1, "user_id\toriginal_image\tgender")
    assert message_of(ValueError, load_adience, tmp_path) == (
        f"{file}: the first line must name the tab-separated columns user_id, original_image, face_id, age; "
        "it lacks face_id, age, got 'user_id original_image gender'. Take the files as they were published."
    )
    file.write_text("")
    assert "it lacks user_id, original_image, face_id, age, got ''." in message_of(ValueError, load_adience, tmp_path)


def test_row_with_too_few_fields(tmp_path):
    file = change_line(make_tree(tmp_path), 3, "0@N00\t1.jpg\t1\t(4, 6)", fold=3)
    assert message_of(ValueError, load_adience, tmp_path) == (
        f"{file}, line 3: 12 tab-separated fields are required, got 4."
    )


@pytest.mark.parametrize("age", ["abc", "(1, 2, 3)", "", "-3", "25.5", "(25, 32", "(, 32)", "²", "none"])
def test_age_that_is_no_age(tmp_path, age):
    file = change_line(make_tree(tmp_path), 4, row("0@N00", "2.jpg", age))
    assert message_of(ValueError, load_adience, tmp_path) == (
        f'{file}, line 4: age must be a pair such as "(25, 32)", one whole number or "None", got {age!r}. '
        "Take the files as they were published."
    )


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("user_id", {"user": "..", "image": "0.jpg"}),
        ("user_id", {"user": "/etc", "image": "0.jpg"}),
        ("user_id", {"user": "a/../..", "image": "0.jpg"}),
        ("user_id", {"user": "", "image": "0.jpg"}),
        ("original_image", {"user": "0@N00", "image": "/../../../secret.jpg"}),
        ("original_image", {"user": "0@N00", "image": "..\\secret.jpg"}),
        ("original_image", {"user": "0@N00", "image": "a\0.jpg"}),
        ("face_id", {"user": "0@N00", "image": "0.jpg", "face": "../1"}),
    ],
)
@pytest.mark.parametrize("age", ["(0, 2)", "None"])
def test_paths_that_lead_out(tmp_path, column, values, age):
    file = change_line(make_tree(tmp_path), 2, row(age=age, **values))
    text = {"user_id": values["user"], "original_image": values["image"], "face_id": values.get("face")}[column]
    assert message_of(ValueError, load_adience, tmp_path, skip_bad_images=True) == (
        f"{file}, line 2: {column} must be a plain name inside the data folder, got {text!r}."
    )


def test_links_that_stay_inside(tmp_path):
    root = make_tree(tmp_path / "adience")
    picture(root).unlink()
    picture(root).symlink_to(picture(root, i=1))
    (tmp_path / "link").symlink_to(root)
    assert len(load_adience(tmp_path / "link")) == 40


def damage(root):
    """An absent image, a truncated one whose head is whole, and one that is none."""
    absent, truncated, none = (picture(root, i=i) for i in (1, 3, 6))
    absent.unlink()
    jpeg(truncated, size=64)
    data = truncated.read_bytes()
    truncated.write_bytes(data[: len(data) // 2])
    with Image.open(truncated) as image:
        image.verify()  # does not see it
    none.write_text("<html>")
    return absent, truncated, none


def test_damaged_pictures_left_out(tmp_path, caplog):
    damaged = damage(make_tree(tmp_path))
    with caplog.at_level(logging.WARNING, "squared_emd"):
        dataset = load_adience(tmp_path, skip_bad_images=True)
    assert dataset["label"][:8] == [0, 2, 4, 5, 7, 0, 1, 2]
    assert len(dataset) == 37
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith(f"3 of 40 images of {tmp_path / 'aligned'} are missing or cannot be decoded")
    assert all(str(path) in text for path in damaged)


def test_pictures_without_a_usable_label_are_not_needed(tmp_path):
    make_tree(tmp_path, extra=["None", "35"])
    picture(tmp_path, i=8).unlink()
    picture(tmp_path, i=9).unlink()
    assert len(load_adience(tmp_path)) == 40


def test_folds_without_a_usable_row(tmp_path):
    make_tree(tmp_path)
    write_folds(tmp_path, [[row(f"{k}@N00", "0.jpg", "None" if k in (1, 3) else "(0, 2)")] for k in range(5)])
    assert message_of(ValueError, load_adience, tmp_path) == (
        "There is no row with a usable label in fold_1_data.txt, fold_3_data.txt; each fold needs some, "
        "take the files as they were published."
    )


def test_fold_without_a_picture(tmp_path):
    make_tree(tmp_path)
    for i in range(8):
        picture(tmp_path, "2@N00", i).unlink()
    assert message_of(ValueError, load_adience, tmp_path, skip_bad_images=True) == (
        "There is no image that can be decoded in fold_2_data.txt; each fold needs some, unpack the archive again."
    )


def test_fold_split(tmp_path):
    dataset = load_adience(make_tree(tmp_path))
    for fold in range(5):
        train, test = fold_split(dataset, fold)
        assert (len(train), len(test)) == (32, 8)
        assert set(test["fold"]) == {fold}
        assert set(train["fold"]) == set(range(5)) - {fold}
        assert not set(train["user_id"]) & set(test["user_id"])


def rows_of(users, folds=None):
    return Dataset.from_dict({"user_id": users, "fold": folds or [0] * len(users), "row": list(range(len(users)))})


def test_fold_split_refuses_a_user_on_both_sides():
    dataset = rows_of(["a", "b", "b", "c", "c"], [0, 1, 3, 3, 4])
    for fold in (1, 3):
        assert message_of(ValueError, fold_split, dataset, fold) == (
            f"A user must stand on one side of the split: user b is in folds [1, 3] and {fold} is the test fold. "
            "Give all rows of this user the same fold."
        )
    train, test = fold_split(dataset, 0)
    assert (train["row"][:], test["row"][:]) == ([1, 2, 3, 4], [0])


def test_fold_split_without_that_fold():
    assert message_of(ValueError, fold_split, rows_of(["a", "b"], [0, 1]), 5) == (
        "fold must be one of at least two folds of the dataset, got 5; it has [0, 1]."
    )
    assert message_of(ValueError, fold_split, rows_of(["a", "b"]), 0) == (
        "fold must be one of at least two folds of the dataset, got 0; it has [0]."
    )


def test_validation_split_is_by_user_and_repeats():
    users = [f"user {i % 40}" for i in range(400)]
    train, validation = validation_split(rows_of(users), seed=3)
    assert not set(train["user_id"]) & set(validation["user_id"])
    assert sorted([*train["row"], *validation["row"]]) == list(range(400))
    assert len(validation) == 40  # 40 users with 10 rows each: a tenth of the rows are four users
    assert validation["row"][:] == sorted(validation["row"])
    again = validation_split(rows_of(users), seed=3)[1]
    assert again["row"][:] == validation["row"][:]
    assert validation_split(rows_of(users), seed=4)[1]["row"][:] != validation["row"][:]


def test_validation_split_with_few_large_users():
    train, validation = validation_split(rows_of(["a"] * 5 + ["b"] * 2 + ["c"] * 3), share=0.1, seed=0)
    assert (set(train["user_id"]), set(validation["user_id"])) == ({"a", "c"}, {"b"})


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_validation_split_share_out_of_range(share):
    assert message_of(ValueError, validation_split, rows_of(["a", "b"]), share=share, seed=0) == (
        f"share must lie between 0 and 1, got {share}."
    )


def test_validation_split_of_one_user():
    assert message_of(ValueError, validation_split, rows_of(["a", "a"]), seed=0) == (
        "A split by user needs at least two users, got 1."
    )


@pytest.mark.skipif(not AS_ADIENCE.is_file(), reason="the photographs beside this repository are missing")
def test_real_photographs(tmp_path):
    subprocess.run([sys.executable, str(AS_ADIENCE), str(tmp_path / "adience")], check=True, capture_output=True)
    script = runpy.run_path(str(AS_ADIENCE))
    with open(FAIRFACE / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = [script["LABEL"][row["age_group"]] for row in rows]
    usual = [label for i, label in enumerate(groups) if i not in script["ODD"]]
    dataset = load_adience(tmp_path / "adience")
    names = dict(zip(map(str, AGE_BOUNDS), range(8), strict=True))
    assert Counter(dataset["label"]) == Counter(names[label] for label in usual)
    assert Counter(dataset["fold"]) == {0: 104, 1: 108, 2: 108, 3: 108, 4: 108}  # 540 rows, four odd ones in fold 0
    mapped = load_adience(tmp_path / "adience", odd_labels="map")
    assert len(mapped) == 537  # of None, 35, (25, 23) and (8, 23) only the third has a group
    assert Path(mapped[0]["image"].filename).read_bytes() == (FAIRFACE / "images" / rows[0]["filename"]).read_bytes()
    for fold in range(5):
        fold_split(dataset, fold)
