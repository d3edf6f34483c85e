"""What a run was made with and what came out, as figures and words that a card can show."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments
from transformers.trainer_utils import has_length

__all__ = ["digests_of_weights", "facts_of_arguments", "facts_of_training", "fingerprint", "name_of_device"]

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


def fingerprint(model: nn.Module) -> str:
    """What tells a model's weights from others: a digest of their sums, the same for the same values.

    Args:
        model: any.
    """
    sums: list[torch.Tensor] = []
    for tensor in (*model.parameters(), *model.buffers()):
        values = tensor.detach()
        values = values.to_local() if hasattr(values, "to_local") else values  # this rank's shard: nobody waits
        sums += [values.float().sum(), values.float().abs().sum()]
    told = torch.stack([value.to(sums[0].device) for value in sums]).tolist() if sums else []
    return hashlib.sha256(repr(told).encode()).hexdigest()


def facts_of_training(trainer: Any) -> dict[str, Any]:
    """What is known of a user's own run: its arguments, and the last evaluation of the weights that it has now.

    Args:
        trainer: a `PublishingTrainer`, before or after training.

    Returns:
        As the results of a recipe have it; no `eval_...` where these weights were not evaluated, and nothing of the
        training where there was none.
    """
    args, state = trainer.args, trainer.state
    metrics, rows = trainer.evaluated.get(fingerprint(trainer.model), ({}, None))
    facts = {**facts_of_arguments(args), "num_test": rows, **metrics}
    name = getattr(getattr(trainer.model, "config", None), "_name_or_path", "")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not os.path.isdir(name):
        facts["model"] = name  # on the Hub
    if state.global_step == 0:
        return {name: value for name, value in facts.items() if name not in ("batch_size", "optimizer")}
    return facts | {
        "loss": args.loss,
        "learning_rate": args.learning_rate,
        "epochs": state.epoch,
        "seed": args.seed,
        "num_train": len(trainer.train_dataset) if has_length(trainer.train_dataset) else None,
    }


def name_of_device(device: torch.device) -> str:
    """The name of a GPU, else "cpu" and the like."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
