"""The console script: what it refuses, and where it prints."""

import sys
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from tests.reports.run_folders import write_run

from squared_emd.__main__ import main


def test_a_command_is_required(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "squared-emd: error: the following arguments are required: command"


def test_what_the_user_can_mend_is_one_line(tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "none")])
    message = f"a folder with runs must exist; there is no folder {tmp_path / 'none'}; check its name"
    assert ended.value.code == f"squared-emd report: {message}"  # printed; the exit status is 1


def test_a_full_disk_behind_the_terminal_too(tmp_path, monkeypatch):
    class Full(StringIO):
        def write(self, text):
            raise OSError("No space left on device")

    write_run(tmp_path / "run")
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path)])
    assert ended.value.code == "squared-emd report: No space left on device"


def test_a_terminal_without_a_sign(tmp_path, monkeypatch):
    for seed, share in ((1, 0.5), (2, 0.75)):
        write_run(tmp_path / f"{seed}", seed=seed, eval_aem=share)
    terminal = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    main(["report", str(tmp_path)])
    terminal.flush()
    assert b"62.5 ? 17.7*" in terminal.buffer.getvalue()
