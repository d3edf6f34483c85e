"""The main process acts for all; what it raises reaches every rank."""

import traceback
from types import SimpleNamespace

import pytest
import torch

from squared_emd.hub import UploadError
from squared_emd.training import main_process
from squared_emd.training.main_process import on_main_process


@pytest.fixture
def on_two_ranks(monkeypatch):
    """Plays both ranks one after the other: what rank 0 sent is what rank 1 gets."""

    def play(act, failure):
        sent, ends = [], []
        for rank in range(2):
            state = SimpleNamespace(is_main_process=rank == 0, num_processes=2)
            monkeypatch.setattr(main_process, "PartialState", lambda state=state: state)
            send = (lambda values: sent.append(values) or values) if rank == 0 else (lambda values: sent[0])
            monkeypatch.setattr(main_process, "broadcast_object_list", send)
            try:
                ends.append(on_main_process(act, failure))
            except BaseException as error:
                ends.append(error)
        return ends

    return play


def test_the_result(on_two_ranks):
    assert on_two_ranks(lambda: "me/age", UploadError) == ["me/age", "me/age"]


@pytest.mark.parametrize("error", [OSError("no such file"), ValueError("no such file"), UploadError("no such file")])
def test_an_error_that_was_expected(on_two_ranks, error):
    def act():
        raise error

    first, second = on_two_ranks(act, UploadError)
    assert (type(first), type(second)) == (UploadError, UploadError)
    assert str(first) == str(second) == "no such file"
    assert error in (first, first.__cause__)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out of memory"), RuntimeError("a bug"), KeyError("name"), KeyboardInterrupt("^C")]
)
def test_any_other_error_keeps_its_type_and_traceback(on_two_ranks, error):
    def act():
        raise error

    first, second = on_two_ranks(act, UploadError)
    assert first is error
    assert traceback.extract_tb(first.__traceback__)[-1].name == "act"
    assert type(second) is RuntimeError
    assert str(second) == f"the main process failed, {type(error).__name__}: {error}"
