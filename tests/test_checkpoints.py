"""Which checkpoint is whole, and which is the last."""

from squared_emd.checkpoints import last_whole_checkpoint, mark_whole, what_is_missing


def test_what_is_missing(tmp_path):
    assert what_is_missing(tmp_path / "none") == "there is no such folder"
    (tmp_path / "a").write_text("12")
    mark_whole(tmp_path)
    assert what_is_missing(tmp_path) is None
    (tmp_path / "files.json").write_text('{"a": ')
    assert what_is_missing(tmp_path) == "files.json is half-written"


def test_the_last_is_the_highest_number(tmp_path):
    assert last_whole_checkpoint(tmp_path / "none") is None
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        mark_whole(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-1000").write_text("no folder")
    assert last_whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
