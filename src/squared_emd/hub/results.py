"""The results on a model card: what was measured on the weights in a folder, checked before it is shown."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, TrainingArguments

from ..decoding import is_calibration
from ..ground_distance.files import read_object
from ..ground_distance.model_config import class_names_of, emd_block_of
from ..metrics.logs import (
    RESULTS_FILE,
    check_confusion_matrix,
    check_results,
    is_number,
    is_text,
    refuse_result,
)

_PACKAGES = ("squared-emd", "torch", "transformers", "timm", "datasets", "accelerate")
_ORDINAL_METRICS = {"eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd"}
_OF_TRAINER = {
    *("eval_loss", "eval_loss_ce", "eval_loss_emd", "eval_loss_mse", "eval_runtime"),
    *("eval_samples_per_second", "eval_steps_per_second", "eval_samples"),
}
_IDENTITY = ("table", "data", "stand_in", "variant", "model", "loss", "class_names")  # known without the weights
_START = r"(?:file:/+|~?/|~\\|\.{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\)"
_PATH = re.compile(rf"'{_START}[^']*'|\"{_START}[^\"]*\"|(?<![\w:/.\\~-]){_START}(?:\\.|[^\s'\"`\\])+")


def digests_of_weights(folder: str | os.PathLike[str]) -> dict[str, str]:
    """The SHA-256 of each weight file of a saved model, by file name."""
    digests = {}
    for path in sorted(Path(folder).glob("*model*.safetensors")):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
        digests[path.name] = digest.hexdigest()
    return digests


def weights_version(model: nn.Module, *, is_sharded: bool = False) -> int:
    """A hash, in this process, of what PyTorch counts as writes to weights and buffers, and of samples of them.

    The samples show writes by `.data`, and are copied from a device at once; of sharded parameters, which come and go,
    there are none.
    """
    tensors = (*model.parameters(), *model.buffers())
    counts = (0 if tensor.is_inference() else tensor._version for tensor in tensors)
    return hash((id(model), *counts, *(() if is_sharded else _samples(tensors))))


def _samples(tensors: Iterable[Tensor]) -> Iterator[Any]:
    """Up to 8 entries along each dimension of each tensor of numbers, and its type, but for quantized ones."""
    parts: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        is_plain = type(tensor) in (Tensor, nn.Parameter, nn.Buffer) and tensor.layout == torch.strided
        if is_plain and tensor.is_floating_point() and not tensor.is_meta:
            spread = tuple(slice(None, None, max(-(-size // 8), 1)) for size in tensor.shape)
            parts.setdefault(tensor.device, []).append(tensor.detach()[spread].flatten().float())
            yield tensor.dtype
    for of_device in parts.values():
        yield torch.cat(of_device).cpu().numpy().tobytes()


def facts_of_arguments(args: TrainingArguments) -> dict[str, Any]:
    """Batch size, optimizer, device and package versions of a run."""
    options = f" ({args.optim_args})" if args.optim_args else ""
    decay = f", weight decay {args.weight_decay:g}" if args.weight_decay else ""
    batch_size = args.per_device_train_batch_size * max(args.n_gpu, 1) * args.gradient_accumulation_steps
    optimizer, schedule = (getattr(name, "value", name) for name in (args.optim, args.lr_scheduler_type))
    return {
        "batch_size": batch_size * args.world_size,
        "optimizer": f"{optimizer}{options}, {schedule} schedule{decay}",
        "device": torch.cuda.get_device_name(args.device) if args.device.type == "cuda" else args.device.type,
        "ranks": args.world_size,
        "versions": {"python": platform.python_version()}
        | {name.replace("-", "_"): _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # It belongs to an extra.
        return None


def read_results(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], str | None]:
    """The results in `all_results.json`; of unknown weights only what identifies the run, and why there are no more."""
    path = Path(folder, RESULTS_FILE)
    if not path.is_file():
        return {}, f"There is no {RESULTS_FILE} beside the weights."
    results = read_object(path)
    if results.get("weights") is None:
        known = {name: results[name] for name in _IDENTITY if name in results}
        return known, f"{RESULTS_FILE} does not say which weights it was measured with."
    check_weights(folder, results["weights"], RESULTS_FILE)
    return results, None


def replace_calibrations(earlier: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calibrations of intervals by their coverage, of which those that were found replace earlier ones."""
    by_coverage = {calibration["coverage"]: calibration for calibration in [*earlier, *found]}
    return [by_coverage[coverage] for coverage in sorted(by_coverage)]


def check_weights(folder: str | os.PathLike[str], measured: Any, where: str) -> None:
    """Raise a ValueError if the SHA-256 of weights that were measured is not that of the weights in a folder."""
    if not isinstance(measured, Mapping) or not measured or not all(map(is_text, (*measured, *measured.values()))):
        refuse_result(where, "weights", "file names, each with its sha256", measured)
    found = digests_of_weights(folder)
    for name in sorted(found.keys() | measured.keys()):
        if found.get(name) != measured.get(name):
            raise ValueError(
                f"{where}: 'weights' must have the sha256 of the weights in the folder, {name}: "
                f"{found.get(name, 'not there')}; got {measured.get(name, 'none')}; they were measured with other "
                "weights: evaluate these, or run the recipe again"
            )


def verify_results(results: Mapping[str, Any], config: PretrainedConfig, where: str = RESULTS_FILE) -> dict[str, Any]:
    """What a card can show of results in which each number is in its range and none contradicts another or the config.

    `class_names` is always there. The metrics of a script that does not measure what `ordinal_metrics` does are under
    `other_metrics`, because the same name may mean something else there.
    """
    results, own = dict(results), {}
    if not {"table", "comparison"} & results.keys() and not results.keys() >= _ORDINAL_METRICS:
        names = [name for name in results if name.startswith("eval_") and name not in _OF_TRAINER]
        own = {name.removeprefix("eval_"): results.pop(name) for name in names}
    known = check_results(results, where)
    known.pop("job", None)
    known = {name: hide_paths(value) if is_text(value) else value for name, value in known.items()}
    class_names = known["class_names"] = _class_names(known.get("class_names"), config, where)
    if own:
        known["other_metrics"] = {name: float(value) for name, value in own.items() if is_number(value)}
    for name in {"eval_mae", "eval_squared_emd"} & known.keys():
        if class_names and known[name] > len(class_names) - 1 + 1e-6:
            refuse_result(where, name, f"a number, 0 to {len(class_names) - 1}, or null", known[name])
    if "versions" in known:
        known["versions"] = {name: hide_paths(value) for name, value in known["versions"].items() if value}
    if known.get("eval_aeo", 1) < known.get("eval_aem", 0) - 1e-6:
        refuse_result(where, "eval_aeo", f"at least 'eval_aem', {known['eval_aem']}", known["eval_aeo"])
    emd = emd_block_of(config)
    if emd.get("scores") and class_names and len(emd["scores"]) != len(class_names):
        refuse_result("config.json", "emd.scores", "a number for each class, or null", emd["scores"])
    if emd.get("loss") is not None and known.get("loss", emd["loss"]) != emd["loss"]:
        refuse_result(where, "loss", f"that of the config, {emd['loss']!r}", known["loss"])
    if results.get("intervals") is not None:
        _check_intervals(results["intervals"], emd.get("intervals") or [], len(class_names), where)
        known["intervals"] = results["intervals"]
    if results.get("confusion_matrix") is not None:
        counts = results["confusion_matrix"]
        known["confusion_matrix"] = check_confusion_matrix(counts, len(class_names), known, where)
    return known


def hide_paths(text: str) -> str:
    """A text with each local path replaced by DIR."""
    return _PATH.sub("DIR", text)


def _class_names(given: Sequence[str] | None, config: PretrainedConfig, where: str) -> list[str]:
    """The class names of the config; of a regression, which has one output, those of the results."""
    saved = class_names_of(config)
    if len(saved) > 1 and given and list(given) != saved:
        refuse_result(where, "class_names", f"those of the config, {saved!s:.80}", given)
    return list(given or ()) if len(saved) == 1 else saved


def _check_intervals(found: Any, saved: list[dict[str, Any]], num_classes: int, where: str) -> None:
    """Refuse calibrations that are not those of the config, and coverages that cannot be."""
    thresholds = {calibration["coverage"]: calibration["threshold"] for calibration in saved}
    for calibration in found if isinstance(found, list) else [found]:
        if not is_calibration(calibration) or thresholds.get(calibration["coverage"]) != calibration["threshold"]:
            refuse_result(where, "intervals", "calibrations of the config", calibration)
        held_out = calibration.get("held_out") or {"coverage": 0, "mean_size": 1, "num_samples": 1}
        limits = {"coverage": (0, 1), "mean_size": (1, num_classes), "num_samples": (1, math.inf)}
        for name, (least, greatest) in limits.items():
            if not is_number(held_out.get(name), least, greatest):
                refuse_result(
                    where, f"intervals.held_out.{name}", f"a number, {least} to {greatest}", held_out.get(name)
                )
