"""Batches of a map-style data set: what a sample is does not depend on how it is fetched."""

import itertools
import random

import datasets
import numpy as np
import pytest
import torch
from tests.training.tiny import Augmented, Network, arguments, logged, make_loader, samples
from torch.utils.data import ConcatDataset, Subset
from transformers import TrainerCallback

from squared_emd import EMDTrainer

N = 12


DATA = samples(count=N)


class FetchesBatches(Augmented):
    def __init__(self):
        super().__init__(DATA)
        self.asked = []

    def __getitems__(self, indices):
        self.asked.append(indices)
        return [self[index] for index in indices]


def drawn(loader):
    """What the samples of two epochs are, by epoch."""
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs.append(torch.cat([batch["inputs"][:, 0] for batch in loader]).tolist())
    return epochs


NOISY = Augmented(DATA)


@pytest.mark.parametrize("data", [NOISY, Subset(NOISY, range(N)), ConcatDataset([NOISY])])
def test_samples_do_not_depend_on_batches_workers_or_what_was_drawn_before(tmp_path, data):
    first, second = drawn(make_loader(tmp_path, data, 4))
    assert len({*first, *second}) == 2 * N
    torch.manual_seed(77)
    assert drawn(make_loader(tmp_path, data, 6)) == [first, second]
    worker = {"dataloader_num_workers": 1, "dataloader_multiprocessing_context": "fork"}
    assert drawn(make_loader(tmp_path, data, 4, **worker)) == [first, second]


def test_what_others_draw_does_not_depend_on_the_samples(tmp_path):
    loader, found = make_loader(tmp_path, Augmented(DATA), 4), []
    for between in (lambda: None, lambda: drawn(loader)):
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        between()
        found.append((random.random(), np.random.rand(), torch.rand(()).item()))
    assert found[0] == found[1]


def test_a_data_set_that_fetches_batches_is_asked_for_batches(tmp_path):
    data = FetchesBatches()
    drawn(make_loader(tmp_path, data, 4))
    assert sorted(itertools.chain(*data.asked[:3])) == list(range(N))
    assert [len(indices) for indices in data.asked] == [4] * 6


def test_the_data_set_can_be_looked_at(tmp_path):
    seen = []

    class Look(TrainerCallback):
        def on_train_begin(self, *args, train_dataloader, **kwargs):
            seen.append((train_dataloader.dataset[3], len(train_dataloader.dataset)))

    data = samples()
    EMDTrainer(Network(), arguments(tmp_path, loss="emd"), train_dataset=data, callbacks=[Look()]).train()
    assert seen == [(data[3], len(data))]


def test_a_transform_whose_keys_only_the_collator_knows(tmp_path):
    # stock takes columns out of a `datasets.Dataset`, never keys that its transform makes
    table = datasets.Dataset.from_dict({"inputs": [[float(n), 0.0, 0.0] for n in range(N)], "age": list(range(N))})
    table = table.with_transform(lambda rows: {"views": rows["inputs"], "age": rows["age"]})

    def collate(rows):
        inputs = torch.tensor([row["views"] for row in rows])
        return {"inputs": inputs, "labels": torch.tensor([row["age"] // 3 for row in rows])}

    args = arguments(tmp_path, loss="emd", remove_unused_columns=False)
    trainer = EMDTrainer(Network(), args, train_dataset=table, data_collator=collate)
    trainer.train()
    assert len(logged(trainer, "loss")) == 4
