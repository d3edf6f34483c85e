"""Each mixin with a plain `Trainer`, without the rest of `EMDTrainer`."""

import json

import numpy as np
import pytest
import torch
from tests.ranks import on_ranks
from tests.training.test_other_trainers import DISTANCE, change_of_one_step
from tests.training.tiny import Augmented, Network, arguments, images, logged, samples, tiny_vit
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments

from squared_emd import compute_loss_func
from squared_emd.training.checkpointing import CheckpointingMixin
from squared_emd.training.checkpoints import validate_checkpoint
from squared_emd.training.data_order import DataOrderMixin


class Classifier(Network):
    """Has the loss that the plain Trainer asks for: divided by the labels of the whole step."""

    def forward(self, inputs, labels=None, num_items_in_batch=None, **kwargs):
        logits = super().forward(inputs)["logits"]
        counted = (labels != -100).sum() if num_items_in_batch is None else num_items_in_batch
        return {"loss": cross_entropy(logits, labels, reduction="sum") / counted, "logits": logits}


class OrderedTrainer(DataOrderMixin, Trainer):
    pass


class ResumableTrainer(CheckpointingMixin, Trainer):
    pass


class BothTrainer(CheckpointingMixin, DataOrderMixin, Trainer):
    pass


def trained(cls, folder, data, seed=0, dropout=0.0, resume=None, model=None, **fields):
    torch.manual_seed(seed)
    model = Classifier(dropout=dropout) if model is None else model
    fields = {"logging_strategy": "steps", "logging_steps": 2} | fields
    trainer = cls(model, arguments(folder, TrainingArguments, **fields), train_dataset=data, eval_dataset=samples())
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def check_same_weights(trainer, expected):
    for name, weight in expected.model.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[name], weight), name


@pytest.mark.parametrize(("cls", "data"), [(ResumableTrainer, samples()), (BothTrainer, Augmented())])
def test_runs_resume_to_the_bit(tmp_path, cls, data):
    full = trained(cls, tmp_path, data, dropout=0.2, save_strategy="steps", save_steps=1)
    for step in (2, 3, 7):
        checkpoint = tmp_path / f"checkpoint-{step}"
        assert validate_checkpoint(checkpoint) is None
        resumed = trained(cls, tmp_path, data, seed=1, dropout=0.2, resume=str(checkpoint))
        assert logged(resumed, "loss") == logged(full, "loss")
        check_same_weights(resumed, full)


def test_checkpoints_load_renamed_weights(tmp_path):
    full = trained(ResumableTrainer, tmp_path, images(), model=tiny_vit(), save_strategy="epoch", eval_strategy="no")
    model = tiny_vit()
    torch.nn.init.zeros_(model.classifier.weight)
    resumed = trained(ResumableTrainer, tmp_path, images(), model=model, resume=str(tmp_path / "checkpoint-6"))
    check_same_weights(resumed, full)


def ordered(rank, folder, world_size):
    """21 samples: the last of three steps has padding duplicates, where ranks share it."""
    size = 8 // world_size
    fields = {"per_device_train_batch_size": size, "per_device_eval_batch_size": size}
    trainer = trained(OrderedTrainer, folder / "out", Augmented(samples(count=21)), **fields)
    metrics = trainer.evaluate(samples(count=21))
    if world_size > 1:
        with pytest.raises(ValueError) as error:
            trained(OrderedTrainer, folder / "out", samples(), accelerator_config={"even_batches": False})
        assert str(error.value) == (
            "even_batches=False in accelerator_config gives the ranks different numbers of batches, so that some would "
            "wait for others without end. Leave it out: the duplicates that even them out count neither in a loss nor "
            "in a metric."
        )
    found = {"weights": trainer.model.head.weight.tolist(), "eval_loss": metrics["eval_loss"]}
    for accumulation in (1, 2):  # of a stock Trainer
        func = compute_loss_func("xemd", ground_distance=DISTANCE)
        change = change_of_one_step(folder / "out", func, accumulation=accumulation, world_size=world_size)
        found[f"change_{accumulation}"] = change.tolist()
    (folder / f"{world_size}_{rank}.json").write_text(json.dumps(found | {"loss": logged(trainer, "loss")}))


def test_two_ranks_are_one_process(tmp_path):
    ordered(0, tmp_path, 1)
    on_ranks(2, ordered, tmp_path, 2)
    expected = json.loads((tmp_path / "1_0.json").read_text())
    for rank in range(2):
        got = json.loads((tmp_path / f"2_{rank}.json").read_text())
        for name, values in expected.items():
            np.testing.assert_allclose(got[name], values, rtol=1e-6, atol=1e-6, err_msg=name)


def test_duplicates_of_soft_labels_are_refused(tmp_path):
    trainer = OrderedTrainer(Classifier(), arguments(tmp_path, TrainingArguments))
    with pytest.raises(ValueError) as error:
        trainer.exclude_duplicates({"labels": torch.ones(2, 4)}, 1)
    assert str(error.value) == (
        "padding duplicates can be taken out of a loss of class indices only, got labels of type torch.float32. "
        "Override exclude_duplicates, or set dataloader_drop_last=True."
    )
