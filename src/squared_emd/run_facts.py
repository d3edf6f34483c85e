"""What a run was made with and what came out, as figures and words that a card can show."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import has_length

__all__ = ["digests_of_weights", "facts_of_arguments", "facts_of_training", "name_of_device"]

_PACKAGES = ("squared-emd", "torch", "transformers", "timm", "datasets", "accelerate")


def digests_of_weights(folder: str | os.PathLike[str]) -> dict[str, str]:
    """The files of a saved model's weights, each with its sha256: results with them tell which weights they are of.

    Args:
        folder: of the model.
    """
    digests = {}
    for path in sorted(Path(folder).glob("*model*.safetensors")):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
        digests[path.name] = digest.hexdigest()
    return digests


def facts_of_arguments(args: TrainingArguments) -> dict[str, Any]:
    """Batch, optimizer, device and versions of a run.

    Args:
        args: of the run.
    """
    options = f" ({args.optim_args})" if args.optim_args else ""
    decay = f", weight decay {args.weight_decay:g}" if args.weight_decay else ""
    return {
        "batch_size": args.per_device_train_batch_size
        * max(args.n_gpu, 1)
        * args.gradient_accumulation_steps
        * args.world_size,
        "optimizer": f"{getattr(args.optim, 'value', args.optim)}{options}, "
        f"{getattr(args.lr_scheduler_type, 'value', args.lr_scheduler_type)} schedule{decay}",
        "device": name_of_device(args.device),
        "ranks": args.world_size,
        "versions": {
            "python": platform.python_version(),
            **{name.replace("-", "_"): version(name) for name in _PACKAGES},
        },
    }


def facts_of_training(trainer: Any) -> dict[str, Any]:
    """What is known of a user's own run: its arguments, and the last evaluation of the weights that it has now.

    Args:
        trainer: a `PublishingTrainer`, before or after training.

    Returns:
        As the results of a recipe have it; no `eval_...` where these weights were not evaluated.
    """
    args, state = trainer.args, trainer.state
    # the best weights come back when training is over
    kept_best = args.load_best_model_at_end and state.best_model_checkpoint is not None and not trainer.is_in_train
    step = state.best_global_step if kept_best else state.global_step
    evaluations = [entry for entry in state.log_history if entry.get("step") == step and "eval_loss" in entry]
    last = evaluations[-1] if evaluations else {}
    return {
        "loss": args.loss,
        "learning_rate": args.learning_rate,
        "epochs": state.epoch,
        "seed": args.seed,
        **facts_of_arguments(args),
        "num_train": len(trainer.train_dataset) if has_length(trainer.train_dataset) else None,
        "num_test": trainer.rows_evaluated.get(step) if evaluations else None,
        **{name: value for name, value in last.items() if name.startswith("eval_")},
    }


def name_of_device(device: torch.device) -> str:
    """The name of a GPU, else "cpu" and the like."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
