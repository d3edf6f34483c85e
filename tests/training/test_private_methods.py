"""What is taken from inside `transformers.Trainer` is listed in CONTRIBUTING.md, and is as it was."""

import inspect
import re
from pathlib import Path

from transformers import Trainer, __version__

from squared_emd import EMDTrainer

CONTRIBUTING = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"
SIGNATURES = {
    "_get_dataloader": "(self, dataset, description, batch_size, sampler_fn, is_training, dataloader_key)",
    "_get_train_sampler": "(self, train_dataset)",
    "_load_best_model": "(self)",
    "_load_from_checkpoint": "(self, resume_from_checkpoint, model)",
    "_maybe_log_save_evaluate": (
        "(self, tr_loss, grad_norm, model, trial, epoch, ignore_keys_for_eval, start_time, learning_rate)"
    ),
    "_push_from_checkpoint": "(self, checkpoint_folder)",
    "_run_epoch": (
        "(self, model, epoch, train_dataloader, steps_in_epoch, num_update_steps_per_epoch, trial, "
        "ignore_keys_for_eval, start_time, resume_from_checkpoint, epochs_trained, "
        "steps_trained_in_current_epoch)"
    ),
    "_save_checkpoint": "(self, model, trial)",
}


def overridden():
    classes = EMDTrainer.__mro__[: EMDTrainer.__mro__.index(Trainer)]
    names = {name for cls in classes for name in vars(cls) if name.startswith("_") and not name.startswith("__")}
    return {name for name in names if hasattr(Trainer, name)}


def test_the_table_lists_what_is_overridden():
    section = CONTRIBUTING.read_text(encoding="utf-8").partition("**What is taken from inside Trainer.**")[2]
    listed = set(re.findall(r"^\| `(_\w+)` \|", section, re.MULTILINE))
    assert listed == overridden(), "CONTRIBUTING.md, 'What is taken from inside Trainer', must list these methods"
    assert len(listed) <= 8


def test_signatures_are_as_recorded():
    assert SIGNATURES.keys() == overridden()
    for name, recorded in SIGNATURES.items():
        method = getattr(Trainer, name, None)
        found = None if method is None else f"({', '.join(inspect.signature(method).parameters)})"
        assert found == recorded, (
            f"transformers {__version__} has Trainer.{name}{found}, and squared_emd overrides {name}{recorded}. Read "
            "what changed in transformers/trainer.py, adapt the override, and record the new signature here."
        )
