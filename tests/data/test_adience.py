import csv
import os
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.data.files import write_jpeg
from tests.errors import message_of

from squared_emd.data.adience import AGE_BOUNDS, AGE_GROUPS, LAYOUT, load_adience
from squared_emd.data.splits import fold_split

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
UNSEEN = {
    "0": 0, "7": None, "14": 3, "21": 3, "24": 4, "33": 4, "37": 5, "54": 6, "99": 7, "101": 7, "(25,32)": 4,
    "(5, 6)": 1, "(4, 12)": None,
}  # fmt: skip


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
            write_jpeg(root / kind / f"{k}@N00" / f"{PREFIX[kind]}.1.{i}.jpg")
        folds.append(rows)
    write_folds(root / below, folds)
    return root


def image_of(root, user="0@N00", i=0):
    return root / "aligned" / user / f"{PREFIX['aligned']}.1.{i}.jpg"


def test_columns_order_and_images(tmp_path):
    dataset = load_adience(os.path.relpath(make_tree(tmp_path)))
    assert AGE_GROUPS == ("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60-")
    assert dataset.column_names == ["image", "label", "user_id", "fold"]
    assert tuple(dataset.features["label"].names) == AGE_GROUPS
    assert dataset["label"][:] == list(range(8)) * 5
    assert dataset["fold"][:] == [k for k in range(5) for _ in range(8)]
    assert dataset["user_id"][8] == "1@N00"
    assert dataset[9]["image"].size == (16, 16)
    assert dataset[9]["image"].filename == str(image_of(tmp_path, "1@N00", 1))


@pytest.mark.parametrize("kind", ["aligned", "faces"])
@pytest.mark.parametrize("below", ["", "folds"])
def test_both_kinds_of_images_and_both_places_of_fold_files(tmp_path, kind, below):
    make_tree(tmp_path, kind=kind, below=below)
    dataset = load_adience(tmp_path)
    assert len(dataset) == 40
    assert f"/{kind}/" in dataset[0]["image"].filename
    make_tree(tmp_path, below=below)  # goes first
    assert "/aligned/" in load_adience(tmp_path)[0]["image"].filename


def test_odd_labels(tmp_path):
    make_tree(tmp_path, extra=ODD | UNSEEN)
    assert len(load_adience(tmp_path)) == 41  # "(25,32)" is one of the eight, written without a blank
    mapped = load_adience(tmp_path, odd_labels="map")
    fold_0 = [label for label, fold in zip(mapped["label"], mapped["fold"], strict=True) if fold == 0]
    assert fold_0 == [*range(8), *(group for group in (ODD | UNSEEN).values() if group is not None)]


COLUMNS = "the first line must name the tab-separated columns user_id, original_image, face_id, age; it lacks"
AGE = 'age must be a pair such as "(25, 32)", one whole number or "None", got'
NAME = "must be a plain name inside the data folder, got"


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (1, "user_id\toriginal_image\tgender", f"{COLUMNS} face_id, age, got 'user_id original_image gender'."),
        (1, "no header", f"{COLUMNS} user_id, original_image, face_id, age, got 'no header'."),
        (3, "0@N00\t1.jpg\t1\t(4, 6)", "12 tab-separated fields are required, got 4."),
        *(
            (4, row("0@N00", "2.jpg", age), f"{AGE} {age!r}.")
            for age in ("abc", "(1, 2, 3)", "", "-3", "25.5", "(25, 32", "(, 32)", "²", "none")
        ),
        (2, row("..", "0.jpg", "None"), f"user_id {NAME} '..'."),
        (2, row("", "0.jpg", "(0, 2)"), f"user_id {NAME} ''."),
        (2, row("0@N00", "a\0.jpg", "(0, 2)"), f"original_image {NAME} 'a\\x00.jpg'."),
        (2, row("0@N00", "a\\b.jpg", "(0, 2)"), f"original_image {NAME} 'a\\\\b.jpg'."),
        (2, row("0@N00", ".", "(0, 2)"), f"original_image {NAME} '.'."),
        (2, row("0@N00", "0.jpg", "(0, 2)", "../1"), f"face_id {NAME} '../1'."),
    ],
)
def test_lines_that_are_no_row(tmp_path, number, line, message):
    file = make_tree(tmp_path) / "fold_3_data.txt"
    lines = file.read_text().splitlines()
    lines[number - 1] = line
    file.write_text("\n".join(lines) + "\n")
    place = f"{file}: " if number == 1 else f"{file}, line {number}: "
    advice = " Take the files as they were published." if number == 1 or AGE in message else ""
    assert message_of(ValueError, load_adience, tmp_path, skip_bad_images=True) == f"{place}{message}{advice}"


def test_repeated_rows_windows_line_ends_and_missing_images_without_a_label(tmp_path):
    make_tree(tmp_path, extra=["None", "35"])
    for i in (8, 9):
        image_of(tmp_path, i=i).unlink()
    file = tmp_path / "fold_2_data.txt"
    file.write_text(file.read_text() + row("2@N00", "0.jpg", "(0, 2)") + "\n\n")
    for file in tmp_path.glob("fold_*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert len(load_adience(tmp_path)) == 41


def test_options_and_folders(tmp_path):
    make_tree(tmp_path)
    assert message_of(ValueError, load_adience, tmp_path, odd_labels="keep") == (
        'odd_labels must be "drop" or "map", got \'keep\'.'
    )
    (tmp_path / "fold_0_data.txt").write_text("")
    assert "it lacks user_id, original_image, face_id, age, got ''." in message_of(ValueError, load_adience, tmp_path)
    (tmp_path / "aligned").rename(tmp_path / "other")
    assert message_of(FileNotFoundError, load_adience, tmp_path) == (
        f"The images must lie in aligned or faces in {tmp_path}. {LAYOUT}."
    )


def test_folds_without_a_usable_row_or_image(tmp_path):
    make_tree(tmp_path)
    for i in range(8):
        image_of(tmp_path, "2@N00", i).unlink()
    assert message_of(ValueError, load_adience, tmp_path, skip_bad_images=True) == (
        f"{tmp_path} has no image that can be decoded of the fold 2. Unpack the archive again."
    )
    write_folds(tmp_path, [[row(f"{k}@N00", "0.jpg", "None" if k in (1, 3) else "(0, 2)")] for k in range(5)])
    assert message_of(ValueError, load_adience, tmp_path) == (
        f"{tmp_path} has no row that can be used of the fold 1, 3. Take the files as they were published."
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
