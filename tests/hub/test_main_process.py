"""The main process acts for all; what it raises reaches every rank."""

import json
import re
import traceback
from functools import partial

import pytest
import torch
from tests.ranks import on_ranks
from tests.training.tiny import Network, arguments, samples

from squared_emd import EMDTrainer
from squared_emd.hub import UploadError, training_push
from squared_emd.hub.main_process import on_main_process

EXPECTED = [OSError("no such file"), ValueError("no such file"), UploadError("no such file")]
OTHERS = [torch.OutOfMemoryError("out of memory"), RuntimeError("a bug"), KeyError("name"), KeyboardInterrupt("^C")]


REFUSED = UploadError("refused")


def fail(*args, error=REFUSED, **kwargs):
    raise error


def acts(rank, folder):
    """Writes down how each act ended on this rank: the type, the text, and the function that raised it."""
    trainer = EMDTrainer(Network(), arguments(folder, loss="emd"), train_dataset=samples())
    ends = {"result": on_main_process(lambda: "me/age" if rank == 0 else fail(), UploadError)}
    trainer.hub_model_id, training_push.upload_model = "me/age", fail
    calls = {repr(error): lambda error=error: on_main_process(lambda: fail(error=error), UploadError)
             for error in EXPECTED + OTHERS}  # fmt: skip
    saving = EMDTrainer(Network(), arguments(folder, loss="emd", save_strategy="epoch"), train_dataset=samples())
    if rank == 0:
        saving._save_optimizer_and_scheduler = partial(fail, error=OSError(28, "No space left on device"))
    for name, call in (calls | {"push": trainer.push_to_hub, "save": saving.train}).items():
        try:
            call()
        except BaseException as error:
            cause = error.__cause__ or error
            where = traceback.extract_tb(cause.__traceback__)[-1].name
            ends[name] = type(error).__name__, str(error), where
    (folder / f"{rank}.json").write_text(json.dumps(ends))


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ends")
    on_ranks(2, acts, folder)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_the_result(ends):
    assert [end["result"] for end in ends] == ["me/age", "me/age"]


@pytest.mark.parametrize("error", EXPECTED, ids=repr)
def test_an_error_that_was_expected(ends, error):
    first, second = (end[repr(error)] for end in ends)
    assert first == ["UploadError", "no such file", "fail"]
    assert second == ["UploadError", "no such file", "on_main_process"]


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_any_other_error_keeps_its_type_and_traceback(ends, error):
    first, second = (end[repr(error)] for end in ends)
    assert first == [type(error).__name__, str(error), "fail"]
    assert second == ["RuntimeError", f"the main process failed, {first[0]}: {error}", "on_main_process"]


def test_a_checkpoint_that_the_main_process_cannot_write(ends):
    first, second = (end["save"] for end in ends)
    assert first[:2] == ["OSError", "[Errno 28] No space left on device"]
    assert second[0] == "_AnotherRankFailed"
    assert re.fullmatch(r"another rank could not write its part of .*/checkpoint-2; its log says why\.", second[1])


def test_a_push_that_fails(ends):
    assert [end["push"][:2] for end in ends] == [["UploadError", "refused"]] * 2
