"""What the loaders of published datasets share."""

from typing import NamedTuple

from tests.data.files import write_jpeg
from tests.errors import message_of

from squared_emd.data.published_files import AS_PUBLISHED, find_together, read_mat, usable_rows, write_mat


def test_find_together(tmp_path):
    def find(*names):
        return find_together(tmp_path, names, "It is x")

    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert message_of(FileNotFoundError, find, "a", "b") == (
        f"{tmp_path} or one folder in it must hold a, b; {tmp_path} lacks a, b, it holds: one, two. It is x."
    )
    (tmp_path / "two" / "a").touch()
    assert message_of(FileNotFoundError, find, "a", "b") == (
        f"{tmp_path} or one folder in it must hold a, b; {tmp_path / 'two'} lacks b, it holds: a. It is x."
    )
    (tmp_path / "two" / "b").touch()
    assert find("b", "a") == [tmp_path / "two" / "b", tmp_path / "two" / "a"]
    (tmp_path / "one" / "a").touch()
    assert message_of(ValueError, find, "a") == (
        f"One folder must hold a, got {tmp_path / 'one'}, {tmp_path / 'two'}. Keep one of them."
    )
    (tmp_path / "a").touch()
    assert find("a") == [tmp_path / "a"]


class Row(NamedTuple):
    image: str
    place: str = "line 3"
    split: str = "train"


def usable(root, *images):
    return usable_rows([Row(str(image)) for image in images], root, "split", ["train"], skip_bad_images=False)


def test_links_that_lead_out(tmp_path):
    root, outside = tmp_path / "data", tmp_path / "outside"
    write_jpeg(root / "x.jpg")
    write_jpeg(outside / "x.jpg")
    (root / "inside").symlink_to(root)
    (tmp_path / "link").symlink_to(root)
    assert len(usable(root, root / "x.jpg", root / "inside" / "x.jpg")) == 2
    assert len(usable(tmp_path / "link", tmp_path / "link" / "x.jpg")) == 1
    (root / "link").symlink_to(outside)
    assert message_of(ValueError, usable, root, root / "link" / "x.jpg") == (
        f"line 3: an image must lie inside the data folder {root}, {root / 'link' / 'x.jpg'} leads to "
        f"{outside / 'x.jpg'}. Put the images themselves there instead of links."
    )


def test_mat_files(tmp_path):
    file = tmp_path / "x.mat"
    write_mat(file, {"a": [1.5, 2], "b": "text"}, "drawn")
    assert read_mat(file, ["a", "c"])["a"].tolist() == [[1.5, 2]] and "b" not in read_mat(file, ["a"])
    data = file.read_bytes()
    write_mat(file, {"a": [1.5, 2], "b": "text"}, "drawn")
    assert file.read_bytes() == data and data.startswith(b"MATLAB 5.0 MAT-file, drawn  ")
    start = f"{file} must be a MATLAB file of version 5 to 7.2, SciPy says: "
    file.write_bytes(data[:-100])
    assert message_of(ValueError, read_mat, file, ["b"]) == f"{start}could not read bytes. {AS_PUBLISHED}"
    file.write_text("<html>" * 40)
    message = message_of(ValueError, read_mat, file, ["b"])
    assert message.startswith(start) and message.endswith(AS_PUBLISHED)
