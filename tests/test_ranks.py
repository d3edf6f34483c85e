"""Two ranks (gloo, loopback) against one process with the same global batch."""

import json
import os
import socket

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from squared_emd import EMDTrainer, EMDTrainingArguments

K, D, N = 4, 6, 32


class Network(nn.Module):
    num_classes = K

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, D)
        self.head = nn.Linear(D, K)

    def forward(self, inputs):
        return {"logits": self.head(self.body(inputs).relu())}


def run(rank, world_size, port, folder, loss):
    """Train on `world_size` ranks; every rank writes what it knows at the end."""
    if world_size > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    generator = torch.Generator().manual_seed(0)
    data = [{"inputs": torch.randn(3, generator=generator) + n % K, "labels": n % K} for n in range(N)]
    torch.manual_seed(0)
    args = EMDTrainingArguments(
        str(folder),
        loss=loss,
        jump_start_epochs=2,
        num_train_epochs=4,
        per_device_train_batch_size=8 // world_size,
        learning_rate=0.1,
        optim="sgd",
        logging_strategy="epoch",
        save_strategy="epoch",
        use_cpu=True,
        disable_tqdm=True,
        seed=3,
    )
    trainer = EMDTrainer(Network(), args, train_dataset=data)
    trainer.train()
    criterion = trainer.criterion
    known = {
        "world_size": args.world_size,
        "history": trainer.state.log_history,
        "weight": criterion.regularizer_weight,
        "sdd": criterion.sdd,
        "ground_distance": None if criterion.ground_distance is None else criterion.ground_distance.tolist(),
        "head": trainer.model.head.weight.tolist(),
    }
    (folder / f"rank_{rank}.json").write_text(json.dumps(known))


@pytest.mark.parametrize("loss", ["emd", "xemd2"])
def test_two_ranks_are_one_process(tmp_path, loss):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    run(0, 1, port, alone, loss)
    mp.spawn(run, (2, port, together, loss), nprocs=2)
    expected = json.loads((alone / "rank_0.json").read_text())
    first, second = (json.loads((together / f"rank_{rank}.json").read_text()) for rank in range(2))
    assert (expected["world_size"], first["world_size"]) == (1, 2)
    for name in ("weight", "sdd", "ground_distance", "head"):  # the ranks agree to the bit
        assert first[name] == second[name]
    assert first["ground_distance"] == expected["ground_distance"]
    np.testing.assert_allclose(first["head"], expected["head"], rtol=1e-4, atol=1e-6)
    for name in ("loss", "grad_norm", "loss_ce", "loss_emd", "regularizer_weight", "sdd"):
        got, wanted = ([entry[name] for entry in run["history"] if name in entry] for run in (first, expected))
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    assert (together / "checkpoint-16" / "emd_state.safetensors").is_file()
