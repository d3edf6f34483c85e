"""Folders that are filled once: complete or not at all, never over something else."""

import pytest
from tests.data.files import ADVICE, files_of
from tests.errors import message_of

from squared_emd.data.prepared import prepare_once


def fill(folder):
    (folder / "below").mkdir()
    for k in range(3):
        (folder / "below" / f"{k}.jpg").write_text(str(k))


def prepare(folder, settings=None, fill=fill):
    return prepare_once(folder, "set", settings or {"seed": 0}, "What it is.", fill)


def test_filled_once(tmp_path):
    folder = prepare(tmp_path / "new" / "set")
    assert (folder / "README.txt").read_text() == "What it is."
    files = files_of(folder)
    assert sorted(files) == ["README.txt", "below/0.jpg", "below/1.jpg", "below/2.jpg", "prepared.json"]
    assert prepare(str(folder), fill=None) == folder  # nothing is called
    assert files_of(folder) == files
    assert list(folder.parent.iterdir()) == [folder]
    (tmp_path / "empty").mkdir()
    assert len(files_of(prepare(tmp_path / "empty"))) == 5


def test_a_folder_of_the_cache_for_each_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = {prepare(None, {"seed": seed}) for seed in (0, 1, 0)}
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {tmp_path / "squared-emd"}
    assert all(folder.name.startswith("set_") for folder in folders)


@pytest.mark.parametrize("name", ["notes.txt", "prepared.json"])
def test_something_else_is_refused(tmp_path, name):
    file = tmp_path / name
    file.write_text("mine")
    for target in (tmp_path, file):
        assert message_of(FileExistsError, prepare, target) == (
            f"A folder to prepare must be new, empty or hold prepared images, {target} does not. {ADVICE}"
        )
    assert files_of(tmp_path) == {name: b"mine"}


def test_other_settings_and_lost_files_are_refused(tmp_path):
    folder = prepare(tmp_path / "set")
    assert message_of(FileExistsError, prepare, folder, {"seed": 1}) == (
        f"{folder} holds prepared images with the settings {{'seed': 0}}, required are {{'seed': 1}}. {ADVICE}"
    )
    next(folder.glob("below/*.jpg")).unlink()
    assert message_of(FileExistsError, prepare, folder) == f"{folder} holds 3 of its 4 files. {ADVICE}"


def test_nothing_is_left_behind_when_it_fails(tmp_path):
    def fail(folder):
        fill(folder)
        raise OSError("disk full")

    assert message_of(OSError, prepare, tmp_path / "set", fill=fail) == "disk full"
    assert list(tmp_path.iterdir()) == []


def test_the_second_to_finish_takes_the_first_ones_set(tmp_path):
    def fill_after_another(folder):
        prepare(tmp_path / "set")
        fill(folder)

    assert prepare(tmp_path / "set", fill=fill_after_another) == tmp_path / "set"
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]
