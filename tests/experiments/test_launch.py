"""How a program starts and ends: its ranks, its command line, its errors."""

import re
import sys
from dataclasses import fields
from io import BytesIO, TextIOWrapper
from types import SimpleNamespace

import pytest
import torch

from squared_emd.experiments.arguments import DatasetArguments
from squared_emd.experiments.launch import check_ranks, parse_arguments, run_program, user_errors
from squared_emd.hub import UploadError

ALONE = (
    "2 processes were started, but this one is connected to none of the others: each would train alone and overwrite "
    "the files of the rest. On a machine without a GPU add --use_cpu True."
)


def test_a_process_that_is_connected_to_none_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_ranks(SimpleNamespace(world_size=2))
    with pytest.raises(ValueError) as error:
        check_ranks(SimpleNamespace(world_size=1))
    assert str(error.value) == ALONE


class TestParseArguments:
    def test_a_command_line(self, monkeypatch, tmp_path):
        monkeypatch.setattr(sys, "argv", ["table.py", "--seeds", "2", "--output-dir", str(tmp_path), "--use_cpu", "1"])
        args = parse_arguments(DatasetArguments)
        assert (args.seeds, args.output_dir) == (2, str(tmp_path))

    @pytest.mark.parametrize(
        ("typed", "message"),
        [
            (["--epochs", "3"], "there is no option --epochs. Did you mean --num_train_epochs or --jump_start_epochs?"),
            (["--lr=1"], "there is no option --lr. Did you mean --learning_rate or --local_rank?"),
            (["--qqq"], "there is no option --qqq."),
        ],
    )
    def test_a_near_miss(self, monkeypatch, typed, message):
        monkeypatch.setattr(sys, "argv", ["recipes/table.py", *typed])
        with pytest.raises(SystemExit, match=re.escape(f"table.py: {message} --help lists all.")):
            parse_arguments(DatasetArguments)

    def test_help_has_ours_first_and_each_option_once(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["table.py", "--help"])
        with pytest.raises(SystemExit):
            parse_arguments(DatasetArguments)
        shown = capsys.readouterr().out
        assert shown.startswith("usage: table.py [options]\n\nthis recipe:\n")
        options = re.findall(r"^  (--(?!no_)\w+)", shown, re.M)
        assert sorted(options) == sorted({f"--{field.name}" for field in fields(DatasetArguments) if field.init})
        order = [options.index(name) for name in ("--dataset", "--seeds", "--omega", "--weight_decay")]
        assert order == sorted(order)


class TestUserErrors:
    @pytest.mark.parametrize("error", [OSError("no room"), UploadError("no room"), ValueError("no room")])
    def test_end_with_their_message(self, monkeypatch, error):
        monkeypatch.setattr(sys, "argv", ["folder/train.py", "--loss", "emd"])
        with pytest.raises(SystemExit) as caught, user_errors():
            raise error
        assert caught.value.code == "train.py: no room"

    def test_others_keep_their_traceback(self):
        for error in (ZeroDivisionError(), torch.OutOfMemoryError("no room"), RuntimeError("a bug")):
            with pytest.raises(type(error)), user_errors():
                raise error


def test_a_terminal_without_a_sign(monkeypatch):
    terminal = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    run_program(lambda: print("61.3 ± 0.4", flush=True))
    assert terminal.buffer.getvalue() == b"61.3 ? 0.4\n"


def test_an_interrupted_program(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_program(interrupted)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "\nInterrupted. The same command continues with what is not done.\n"
