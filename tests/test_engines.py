"""What Accelerate and PyTorch wrap around a model changes neither D nor lambda nor the log."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from tests.test_ranks import free_port
from tests.test_trainer import K, N, arguments, logged, pictures, tiny_vit, train
from torch import nn
from torch.distributed.fsdp import fully_shard

from squared_emd import EMDTrainer
from squared_emd.features import HeadInput


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain"), tiny_vit(), pictures())


def check_same(trainer, plain):
    assert torch.equal(trainer.criterion.ground_distance, plain.criterion.ground_distance)
    assert trainer.criterion.regularizer_weight == pytest.approx(plain.criterion.regularizer_weight, rel=1e-4)
    for name in ("loss", "loss_ce", "loss_emd", "sdd"):
        np.testing.assert_allclose(logged(trainer, name), logged(plain, name), rtol=1e-4)


def test_activation_checkpointing_counts_features_once(tmp_path):
    model, forwards, counts = tiny_vit(), [], []
    within = next(name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and "layer" in name)
    model.get_submodule(within).register_forward_hook(lambda *_: forwards.append(1))
    trainer = EMDTrainer(
        model,
        arguments(tmp_path, activation_checkpointing=True, jump_start_epochs=2, num_train_epochs=3),
        train_dataset=pictures(),
    )
    refresh = trainer.criterion.refresh

    def spy(**kwargs):
        counts.append(trainer.criterion.centroids.class_counts.tolist())
        refresh(**kwargs)

    trainer.criterion.refresh = spy
    trainer.train()
    assert counts == [[N / K] * K] * 3
    assert len(forwards) == 2 * 9  # nine steps, and each once more on the way back: it is on


def test_activation_checkpointing(tmp_path, plain):
    check_same(train(tmp_path, tiny_vit(), pictures(), activation_checkpointing=True), plain)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_torch_compile(tmp_path, plain, backend):
    torch._dynamo.reset()
    check_same(train(tmp_path, tiny_vit(), pictures(), torch_compile=True, torch_compile_backend=backend), plain)


def sharded_features(rank, port, folder):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo")
    model = tiny_vit()
    inputs = torch.stack([picture["pixel_values"] for picture in pictures()])
    expected = features_of(model, inputs)
    mesh = torch.distributed.init_device_mesh("cpu", (2,))
    head_input = HeadInput(model, num_outputs=K)
    for module in (*model.base_model.modules(), model):
        if type(module).__name__ == "ViTLayer" or module is model:
            fully_shard(module, mesh=mesh)
    assert type(model.classifier.weight).__name__ == "DTensor"
    with head_input.armed():
        logits = model(inputs).logits
    got = head_input.take(logits)
    (folder / f"{rank}.json").write_text(json.dumps([got.tolist(), expected.tolist()]))
    torch.distributed.destroy_process_group()


def features_of(model, inputs):
    head_input = HeadInput(model, num_outputs=K)
    with head_input.armed():
        features = head_input.take(model(inputs).logits)
    head_input.remove()
    return features


def test_features_of_a_model_that_fsdp2_shards(tmp_path):
    # Accelerate shards on accelerators only; what it calls there runs here too
    mp.spawn(sharded_features, (free_port(), Path(tmp_path)), nprocs=2)
    for rank in range(2):
        got, expected = json.loads((tmp_path / f"{rank}.json").read_text())
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
