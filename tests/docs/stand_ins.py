"""What the pages show of libraries that are not installed: as little as calls their blocks in the library's order."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec

from torch import nn


class LightningModule(nn.Module):
    """Of Lightning."""


class Trainer:
    """Of Lightning: its loop, and a checkpoint that is saved and loaded again."""

    def __init__(self, *, max_epochs, logger, enable_checkpointing):
        self.max_epochs = max_epochs

    def fit(self, module, loader):
        optimizer = module.configure_optimizers()
        for _ in range(self.max_epochs):
            for batch_idx, batch in enumerate(loader):
                optimizer.zero_grad()
                module.training_step(batch, batch_idx).backward()
                optimizer.step()
            module.on_train_epoch_end()
            checkpoint = {}
            module.on_save_checkpoint(checkpoint)
            module.on_load_checkpoint(checkpoint)


class Metric(nn.Module):
    """Of torchmetrics, on one rank."""

    def add_state(self, name, default, dist_reduce_fx):
        self.register_buffer(name, default)


STAND_INS = {
    "lightning": {"LightningModule": LightningModule, "Trainer": Trainer},
    "torchmetrics": {"Metric": Metric},
}


def use_stand_ins():
    """Makes what is not installed importable."""
    for name, contents in STAND_INS.items():
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = importlib.util.module_from_spec(ModuleSpec(name, None))
            vars(sys.modules[name]).update(contents)
