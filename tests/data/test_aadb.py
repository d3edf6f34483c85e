import logging
import os

import numpy as np
import pytest
from scipy.io import savemat
from tests.data.files import write_jpeg
from tests.errors import message_of

from squared_emd.data.aadb import IMAGE_FOLDERS, INFO, LAYOUT, LISTS, load_aadb
from squared_emd.data.published_files import AS_PUBLISHED

TRAIN = [("farm1_255_19.jpg", 0.7), ("farm1_256_20.jpg", 0.0), ("farm 2.jpg", 1.0), ("farm1_257_21.jpg", 0.35)]
TEST = [("farm1_300_30.jpg", 0.05), ("farm1_301_31.jpg", 0.65)]
VALIDATION = [("farm1_400_40.jpg", 0.45)]


def write_info(file, train=TRAIN, test=TEST, **others):
    file.parent.mkdir(parents=True, exist_ok=True)
    info = {}
    for split, rows in (("train", train), ("test", test)):
        info[f"{split}NameList"] = np.array([[name for name, _ in rows]], dtype=object)  # a cell array
        info[f"{split}Score"] = np.array([[score for _, score in rows]])
    savemat(file, {name: value for name, value in (info | others).items() if value is not None})
    return file


def write_lists(folder, *, leave_out=(), end="\n"):
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        if split not in leave_out:
            (folder / LISTS[split]).write_bytes("".join(f"{name} {score}{end}" for name, score in rows).encode())


def make_images(root, below=""):
    for name, _ in TRAIN + VALIDATION:
        write_jpeg(root / below / IMAGE_FOLDERS["train"] / name)
    for name, _ in TEST:
        write_jpeg(root / below / IMAGE_FOLDERS["test"] / name)
    return root


def train_image(root, k=0):
    return root / IMAGE_FOLDERS["train"] / TRAIN[k][0]


@pytest.fixture
def aadb(tmp_path):
    """Images and AADBinfo.mat."""
    write_info(tmp_path / INFO)
    return make_images(tmp_path)


def test_columns_order_and_images(aadb):
    dataset = load_aadb(os.path.relpath(aadb))
    assert dataset.column_names == ["image", "score", "split"]
    assert dataset.features["score"].dtype == "float64"
    assert dataset["score"][:] == [0.7, 0.0, 1.0, 0.35, 0.05, 0.65]
    assert dataset["split"][:] == ["train"] * 4 + ["test"] * 2
    assert dataset[2]["image"].size == (16, 16)
    assert dataset[2]["image"].filename == str(aadb / "datasetImages_originalSize" / "farm 2.jpg")
    assert dataset[5]["image"].filename == str(aadb / "AADB_newtest_originalSize" / "farm1_301_31.jpg")


@pytest.mark.parametrize("lists", ["", "imgListFiles_label"])
@pytest.mark.parametrize("images", ["", "images", "datasetImages_originalSize"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_lists_and_folders_below(tmp_path, lists, images, end):
    write_lists(tmp_path / lists, end=end)
    (tmp_path / lists / "imgListTestRegression_score.txt").write_text("old_test.jpg 0.5\n")
    dataset = load_aadb(make_images(tmp_path, images))
    assert dataset["score"][:] == [0.7, 0.0, 1.0, 0.35, 0.45, 0.05, 0.65]
    assert dataset["split"][:] == ["train"] * 4 + ["validation"] + ["test"] * 2
    assert [os.path.basename(image.filename) for image in dataset["image"]] == [
        name for name, _ in TRAIN + VALIDATION + TEST
    ]


def test_the_mat_file_goes_before_the_lists(aadb):
    write_lists(aadb)
    assert "validation" not in load_aadb(aadb)["split"][:]
    (aadb / INFO).rename(aadb / "elsewhere.mat")
    assert "validation" in load_aadb(aadb)["split"][:]


def test_mat_file_one_folder_below_and_as_columns(tmp_path):
    columns = {
        "trainNameList": np.array([[name] for name, _ in TRAIN], dtype=object),
        "trainScore": np.array([[score] for _, score in TRAIN]),
    }
    write_info(tmp_path / "labels" / INFO, **columns)
    assert load_aadb(make_images(tmp_path))["score"][:4] == [0.7, 0.0, 1.0, 0.35]


def test_a_score_before_the_name(aadb):
    write_info(aadb / INFO, train=[*TRAIN, ("0.500_a.jpg", 0.1), ("a.jpg", 0.2)])  # two names, and no score
    for name in ("0.500_a.jpg", "a.jpg"):
        write_jpeg(aadb / IMAGE_FOLDERS["train"] / name)
    for k, score in ((0, "0.700"), (3, "0.350")):
        path = train_image(aadb, k)
        path.rename(path.with_name(f"{score}_{path.name}"))
    write_jpeg(train_image(aadb, 1).with_name(f"0.100_{TRAIN[1][0]}"))  # beside the one with the plain name
    names = [os.path.basename(image.filename) for image in load_aadb(aadb)["image"]]
    assert names[:4] == ["0.700_farm1_255_19.jpg", "farm1_256_20.jpg", "farm 2.jpg", "0.350_farm1_257_21.jpg"]
    assert names[4:6] == ["0.500_a.jpg", "a.jpg"]


def test_its_own_folder_goes_first_and_then_the_other(aadb):
    train, test = (aadb / IMAGE_FOLDERS[split] for split in ("train", "test"))
    write_jpeg(train / TEST[0][0])
    write_jpeg(test / TRAIN[0][0])
    dataset = load_aadb(aadb)
    assert dataset[0]["image"].filename == str(train_image(aadb))
    assert dataset[4]["image"].filename == str(test / TEST[0][0])
    for name, _ in TEST:
        (test / name).rename(train / name)
    assert load_aadb(aadb)[5]["image"].filename == str(train / TEST[1][0])


def test_tested_images_in_another_list(aadb, caplog):
    write_info(aadb / INFO, train=[*TRAIN, TEST[0]])
    with caplog.at_level(logging.WARNING, "squared_emd"):
        assert len(load_aadb(aadb)) == 7
    (record,) = caplog.records
    assert record.getMessage() == "1 of 2 images to test on are also in another list of AADB."


CELLS = "testNameList must be a cell array of names and testScore as many numbers, got 2 of type"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"testNameList": None, "trainScore": None},
         " must hold trainNameList, trainScore, testNameList, testScore; it lacks trainScore, testNameList."),
        ({"testScore": np.array([[0.5]])}, f": {CELLS} object and 1 of type float64."),
        ({"testNameList": np.array([[1.0, 2.0]])}, f": {CELLS} float64 and 2 of type float64."),
        *(({"testScore": np.array([[0.5, score]])},
           f", testNameList(2): a score must lie between 0 and 1, got {score}.")
          for score in (-0.05, 1.05, float("nan"), float("inf"))),
    ],
)  # fmt: skip
def test_mat_files_that_do_not_fit(aadb, changes, message):
    file = write_info(aadb / INFO, **changes)
    assert message_of(ValueError, load_aadb, aadb) == f"{file}{message} {AS_PUBLISHED}"


@pytest.mark.parametrize("line", ["farm1_300_30.jpg", "farm1_300_30.jpg high", "0.5"])
def test_lines_that_are_no_name_and_score(tmp_path, line):
    write_lists(tmp_path)
    file = tmp_path / LISTS["validation"]
    file.write_text(line + "\n")
    assert message_of(ValueError, load_aadb, tmp_path) == (
        f"{file}, line 1: a file name and a score are required, got {line!r}. {AS_PUBLISHED}"
    )


def test_no_folder_of_images(tmp_path):
    write_info(tmp_path / INFO)
    assert message_of(FileNotFoundError, load_aadb, tmp_path) == (
        "The images must lie in datasetImages_originalSize/ and AADB_newtest_originalSize/ in "
        f"{tmp_path} or a folder in it. {LAYOUT}."
    )


def test_a_split_without_images(aadb):
    for name, _ in TEST:
        (aadb / IMAGE_FOLDERS["test"] / name).unlink()
    assert message_of(ValueError, load_aadb, aadb, skip_bad_images=True) == (
        f"{aadb} has no image that can be decoded of the split test. Unpack the archive again."
    )
