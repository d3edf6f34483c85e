"""The intervals of a model that is trained already: calibrated on labeled data, and written into its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import snapshot_download

from ..ground_distance.files import read_object, write_aside
from ..ground_distance.model_config import class_names_of, emd_block_of
from ..hub.card import write_card
from ..hub.main_process import on_main_process
from ..hub.upload import UPLOAD_ERRORS
from .arguments import EMDTrainingArguments
from .labeled_inputs import labeled_inputs, load_classifier
from .trainer import EMDTrainer

__all__ = ["write_calibration"]


def write_calibration(
    model: str,
    dataset: str,
    *,
    coverage: Sequence[float] = (0.9,),
    split: str = "validation",
    test_split: str = "test",
    input_column: str | None = None,
    label_column: str | None = None,
    batch_size: int = 32,
    output_dir: str | os.PathLike[str] | None = None,
) -> str:
    """Calibrate a saved model, and write that into its config and on its card, as `squared-emd calibrate` does.

    Args:
        model: the folder of a classifier of images, texts or sounds, which is changed there; or one of the Hub.
        dataset: where labeled data lie.
        coverage: one or several.
        split: of the data, to calibrate on.
        test_split: of the data, to measure the coverage on.
        input_column: of the images, texts or sounds; None: the only one.
        label_column: of the labels; None: `label`.
        batch_size: samples of a batch on each rank.
        output_dir: where a model of the Hub is saved with its calibration.

    Returns:
        What came out, as text; empty but for the main process.

    Raises:
        FileNotFoundError: there is no such model or dataset.
        ValueError: the model is a regression, the data do not fit it, both splits are the same, or what
            `EMDTrainer.calibrate` raises.
    """
    if split == test_split:
        raise ValueError(
            f"the coverage must be measured on other samples than those of the calibration, got {split!r} for both. "
            "Give another split or test_split."
        )
    folder = on_main_process(lambda: _folder_of(model, output_dir), ValueError)
    network, processor = load_classifier(folder)
    if network.config.num_labels == 1:
        raise ValueError(f"{model} must have an output for each class, it has 1, a regression. Give a classifier.")
    if emd_block_of(network.config).get("mirrored"):
        from ..vision import average_flips  # Here, because timm is optional.

        average_flips(network)  # As the pipeline does.
    names = class_names_of(network.config)
    columns = {"input_column": input_column, "label_column": label_column}
    (samples, collate), (tested, _) = (
        labeled_inputs(dataset, network, processor, names, split=part, **columns) for part in (split, test_split)
    )
    with TemporaryDirectory() as temporary:
        args = EMDTrainingArguments(
            temporary,
            loss="xe",
            per_device_eval_batch_size=batch_size,
            remove_unused_columns=False,
            report_to=[],
        )
        trainer = EMDTrainer(network, args, data_collator=collate)
        found = trainer.calibrate(samples, coverage=coverage, test_dataset=tested)
    if not trainer.is_world_process_zero():
        return ""
    config = read_object(Path(folder, "config.json"))
    written = {name: network.config.emd[name] for name in ("intervals", "class_names")}
    config["emd"] = (config.get("emd") or {}) | written
    with write_aside(Path(folder, "config.json")) as path:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_card(folder, calibrations=found)
    lines = [f"Calibrated on the {found[0]['num_samples']} {split} samples of {dataset}; in {folder}:"]
    for calibration in found:
        share, size, num_samples = (calibration["held_out"][name] for name in ("coverage", "mean_size", "num_samples"))
        lines.append(
            f"coverage {calibration['coverage']:g}: {100 * share:.1f} % of the {num_samples} {test_split} samples, "
            f"with {size:.2f} of {calibration['num_classes']} classes"
        )
    return "\n".join(lines)


def _folder_of(model: str, output_dir: str | os.PathLike[str] | None) -> str:
    if os.path.isdir(model):
        if output_dir is not None:
            raise ValueError(f"{model} is a folder, which is calibrated where it is. Leave out output_dir.")
        return model
    if output_dir is None:
        raise ValueError(
            f"{model} is no folder; of a model of the Hub a calibrated copy is saved. Give output_dir for it."
        )
    if os.path.isdir(output_dir) and os.listdir(output_dir):  # Which would be taken where the Hub cannot be reached.
        raise ValueError(f"{output_dir} must be a new or an empty folder, it has files. Give another output_dir.")
    try:
        return snapshot_download(model, local_dir=output_dir)
    except UPLOAD_ERRORS as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(f"the model {model!r} cannot be loaded: {reason}. Name a model of the Hub.") from error
