"""What the config of a trained model says of its run: D, and the `emd` block."""

from __future__ import annotations

import os
from importlib.metadata import version
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from ..ground_distance.model_config import class_names_of
from ..ground_distance.saved import write_ground_distance
from .arguments import SELF_GUIDED
from .checkpoints import replace_files
from .criterion import EMDCriterion


def write_config_entries(trainer: Any, folder: str | None) -> None:
    """Put D and the `emd` block of an `EMDTrainer` where :func:`write_entries` does.

    Without training a D that was loaded stays as it is.
    """
    model, criterion = trainer.accelerator.unwrap_model(trainer.model), trainer.criterion
    loaded = trainer.loaded_ground_distance
    config = config_of(model)
    if trainer.state.global_step == 0 and loaded is not None and criterion.distance.given is None:
        matrix, block = loaded, dict(getattr(config, "emd", None) or {}) | {"mirrored": averages_flips(model)}
    else:
        matrix = criterion.ground_distance if criterion.args.uses_ground_distance else loaded
        block = emd_block(model, criterion, has_distance=matrix is not None)
    write_entries(folder, model, matrix, block)


def write_entries(folder: str | None, model: nn.Module, matrix: Tensor | None, block: dict[str, Any]) -> None:
    """Put D and the `emd` block, which changes, into the config in use, or D into the folder the model is saved in.

    Adapters are saved without a config, and so is a module that is no `PreTrainedModel`: D then lies beside them.
    """
    config = config_of(model)
    write_ground_distance(matrix, folder, config, block)
    if folder is not None and config is not None and not _saves_its_config(model):
        write_ground_distance(matrix, folder, None, {})


def replace_config_entries(trainer: Any) -> None:
    """When training is over, give the checkpoint of its last step the last D; it is complete all the time.

    Where it was not written at the end of an epoch, what ended the epoch has refreshed D since.
    """
    checkpoint = trainer.last_checkpoint or ""
    if not trainer.args.is_self_guided or not checkpoint.endswith(f"checkpoint-{trainer.state.global_step}"):
        return
    with TemporaryDirectory(dir=os.path.dirname(checkpoint)) as temporary:
        write_config_entries(trainer, temporary)
        model = trainer.accelerator.unwrap_model(trainer.model)
        if _saves_its_config(model):
            model.config.save_pretrained(temporary)
        replace_files(checkpoint, temporary)


def _saves_its_config(model: nn.Module) -> bool:
    """Whether a Trainer saves config.json with the model; beside an adapter it would be taken for a whole model."""
    return isinstance(model, PreTrainedModel) and not getattr(model, "_hf_peft_config_loaded", False)


def emd_block(model: nn.Module, criterion: EMDCriterion, *, has_distance: bool) -> dict[str, Any]:
    """The `emd` block of a config: how the model, without wrappers, was trained, and what its D is of."""
    args = criterion.args
    block: dict[str, Any] = {"loss": args.loss, "epoch": criterion.epoch, "version": version("squared-emd")}
    if args.is_self_guided:
        block |= {"rank": args.ranks, "sdd": criterion.distance.sdd, "regularizer_weight": criterion.regularizer_weight}
    if args.loss in SELF_GUIDED:
        block["omega"], block["mu"] = args.self_guided_parameters()
    if args.geometry is not None or criterion.geometry.tree is not None:
        block["geometry"] = "tree" if criterion.geometry.tree is not None else args.geometry
    if args.prior is not None and criterion.distance.given is not None:
        block["prior_weight"], block["prior_decay"] = args.prior
    if args.loss == "a-emd":
        block |= {"entropic_strength": args.entropic_strength, "sinkhorn_iterations": args.sinkhorn_iterations}
    config = config_of(model)
    names, earlier = class_names_of(config), getattr(config, "emd", None) or {}
    if earlier.get("intervals"):  # of these weights, since training takes them away
        block["intervals"] = earlier["intervals"]
    if names is not None and (has_distance or "intervals" in block):
        block["class_names"] = names  # in the order of D, whatever becomes of id2label
    if len(earlier.get("scores") or ()) == criterion.num_classes:  # what the classes stand for, whoever set it
        block["scores"] = earlier["scores"]
    if averages_flips(model):  # how it is tested
        block["mirrored"] = True
    return block


def config_of(model: nn.Module) -> PretrainedConfig | None:
    """The config of a model that can be saved; None where it has another one, or none."""
    config = getattr(model, "config", None)
    return config if isinstance(config, PretrainedConfig) else None


def averages_flips(model: nn.Module) -> bool:
    """Whether `vision.average_flips` is in force, found without importing vision and what it needs."""
    return any(getattr(hook, "averages_flips", False) for hook in model._forward_hooks.values())
