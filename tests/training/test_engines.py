"""What Accelerate and PyTorch wrap around a model changes neither D nor lambda nor the log."""

import json
import os

import numpy as np
import pytest
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from tests.ranks import on_ranks
from tests.training.tiny import arguments, images, logged, tiny_vit, train
from torch import nn

from squared_emd import EMDTrainer
from squared_emd.training.nonfinite import local_part


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain"), tiny_vit(), images())


def check_same(trainer, plain):
    assert torch.equal(trainer.criterion.ground_distance, plain.criterion.ground_distance)
    assert trainer.criterion.regularizer_weight == pytest.approx(plain.criterion.regularizer_weight, rel=1e-4)
    for name in ("loss", "loss_ce", "loss_emd", "sdd"):
        np.testing.assert_allclose(logged(trainer, name), logged(plain, name), rtol=1e-4)


def test_activation_checkpointing_counts_features_once(tmp_path, plain):
    model, forwards = tiny_vit(), []
    within = next(name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and "layer" in name)
    model.get_submodule(within).register_forward_hook(lambda *_: forwards.append(1))
    check_same(train(tmp_path, model, images(), activation_checkpointing=True), plain)
    assert len(forwards) == 2 * 12  # twelve steps, and each once more on the way back: it is on


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_torch_compile(tmp_path, plain, backend):
    check_same(train(tmp_path, tiny_vit(), images(), torch_compile=True, torch_compile_backend=backend), plain)


def test_torch_compile_after_another_loss(tmp_path):
    compiled = {"torch_compile": True, "torch_compile_backend": "aot_eager"}
    train(tmp_path, loss="xe", num_train_epochs=1, **compiled)  # Its code, without a hook, fits this model, too.
    counters = torch._dynamo.utils.counters
    counters.clear()
    trainer = train(tmp_path, **compiled)
    # One for training, as without a hook, and no graph break.
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]
    check_same(trainer, train(tmp_path))
    assert not any(module._forward_hooks for module in trainer.model.modules())


SHARDED = {"version": 2, "transformer_layer_cls_to_wrap": ["ViTLayer"]}
ENGINES = {
    "ddp": {},
    "ddp, bf16": {"bf16": True, "learning_rate": 0.0},
    "fsdp, bf16": {"fsdp_config": SHARDED, "bf16": True, "learning_rate": 0.0},
    "fsdp, sharded state": {
        "fsdp_config": SHARDED | {"state_dict_type": "SHARDED_STATE_DICT", "activation_checkpointing": True}
    },
    "fsdp": {"fsdp_config": SHARDED},
}
SHARDING = ("fsdp", "fsdp, sharded state")


def engine_trainer(folder, fields):
    sharded = "fsdp_config" in fields
    os.environ["ACCELERATE_USE_FSDP"] = str(sharded).lower()
    fields = {
        "jump_start_epochs": 2,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "optim_args": "momentum=0.9",  # of an optimizer without state, PyTorch cannot load the state
        "num_train_epochs": 3,
        "save_strategy": "steps",
        "save_steps": 6,  # the jump start
        "eval_strategy": "epoch",
        **({"fsdp": True} if sharded else {}),
        **fields,
    }
    args = arguments(folder, **fields)
    if sharded:
        # Accelerate shards on accelerators only; told that these ranks are some, it does so on the CPU.
        assert args.device.type == "cpu"
        PartialState().distributed_type = DistributedType.MULTI_GPU
    return EMDTrainer(tiny_vit(), args, train_dataset=images(), eval_dataset=images())


def engine_outcome(trainer):
    names = ("loss", "loss_ce", "loss_emd", "grad_norm", "sdd", "eval_loss")
    return {
        "log": {name: logged(trainer, name) for name in names},
        "ground_distance": trainer.criterion.ground_distance.tolist(),
        "weight": trainer.criterion.regularizer_weight,
        "types": sorted({type(parameter).__name__ for parameter in trainer.model.parameters()}),
    }


def engine_runs(rank, folder):
    for name, fields in ENGINES.items():
        trainer = engine_trainer(folder / name, fields)
        trainer.train()
        found = {"whole": engine_outcome(trainer)}
        if name in SHARDING:
            resumed = engine_trainer(folder / name, fields)
            resumed.train(resume_from_checkpoint=str(folder / name / "checkpoint-6"))
            found["resumed"] = engine_outcome(resumed)
        (folder / f"{name}_{rank}.json").write_text(json.dumps(found))
    if rank == 0:
        parameters = resumed.model.vit.layers[0].parameters()
        local_part(next(parameters)).data[0] = float("nan")
    try:
        resumed.save_model(str(folder / "broken"))
    except FloatingPointError as error:
        (folder / f"nan_{rank}").write_text(str(error))


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    on_ranks(2, engine_runs, folder)
    return folder


def of_engine(folder, name, rank):
    return json.loads((folder / f"{name}_{rank}.json").read_text())


@pytest.mark.xdist_group("engines")
class TestFSDP2:
    @pytest.mark.parametrize("name", SHARDING)
    def test_is_ddp(self, engines, name):
        expected = of_engine(engines, "ddp", 0)["whole"]
        for rank in range(2):
            got = of_engine(engines, name, rank)["whole"]
            assert "DTensor" in got["types"] and expected["types"] == ["Parameter"]
            assert got["ground_distance"] == expected["ground_distance"]
            np.testing.assert_allclose(got["weight"], expected["weight"], rtol=1e-4)
            for key, values in expected["log"].items():
                np.testing.assert_allclose(got["log"][key], values, rtol=1e-4, err_msg=key)

    def test_bf16_is_ddp_but_for_its_rounding(self, engines):
        # FSDP2 keeps all in bfloat16 where autocast keeps some in float32: 8 bits, so a percent of a distance
        expected, got = (of_engine(engines, f"{name}, bf16", 0)["whole"] for name in ("ddp", "fsdp"))
        for key in ("loss_ce", "sdd"):
            np.testing.assert_allclose(got["log"][key], expected["log"][key], rtol=0.02)

    @pytest.mark.parametrize("name", SHARDING)
    def test_resumes_to_the_bit(self, engines, name):
        for rank in range(2):
            found = of_engine(engines, name, rank)
            assert found["resumed"] == found["whole"]

    def test_all_ranks_stop_at_a_weight_that_one_holds(self, engines):
        whose = [(engines / f"nan_{rank}").read_text().split(" are NaN")[0].rpartition(" ")[2] for rank in range(2)]
        assert whose == ["vit.layers.0.attention.q_proj.weight", "rank"]
