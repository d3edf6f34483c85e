"""Trains an image classifier the stock way, as short as it gets: what `recipe.py` compares with by default.

Written for this benchmark after what Hugging Face's example `run_image_classification.py` does, of whose options it
takes the ones below: `imagefolder` of datasets, `set_transform`, RandomResizedCrop, a flip, ToTensor and Normalize of
torchvision, the plain `transformers.Trainer`, one evaluation at the end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from datasets import load_dataset
from torchvision.transforms import (
    CenterCrop,
    Compose,
    Normalize,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ToTensor,
)
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    EvalPrediction,
    HfArgumentParser,
    Trainer,
    TrainingArguments,
    set_seed,
)


@dataclass
class Options:
    """What is trained on what."""

    model_name_or_path: str = field(metadata={"help": "A folder with a model and its processor."})
    train_dir: str = field(metadata={"help": "A folder of pictures a class."})
    validation_dir: str = field(metadata={"help": "The same, to test on."})


def accuracy(outputs: EvalPrediction) -> dict[str, float]:
    """The share of samples whose class comes out first."""
    return {"accuracy": float(np.mean(outputs.predictions.argmax(1) == outputs.label_ids))}


def collate(samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch."""
    pictures = torch.stack([sample["pixel_values"] for sample in samples])
    return {"pixel_values": pictures, "labels": torch.tensor([sample["label"] for sample in samples])}


def main() -> None:
    """Train, save, evaluate."""
    options, args = HfArgumentParser((Options, TrainingArguments)).parse_args_into_dataclasses()
    set_seed(args.seed)
    files = {"train": options.train_dir, "validation": options.validation_dir}
    data = load_dataset("imagefolder", data_files={name: os.path.join(place, "**") for name, place in files.items()})
    names = data["train"].features["label"].names
    model = AutoModelForImageClassification.from_pretrained(options.model_name_or_path, num_labels=len(names))
    processor = AutoImageProcessor.from_pretrained(options.model_name_or_path)
    size = processor.size["shortest_edge"]
    end = [ToTensor(), Normalize(processor.image_mean, processor.image_std)]
    views = {
        "train": Compose([RandomResizedCrop(size), RandomHorizontalFlip(), *end]),
        "validation": Compose([Resize(size), CenterCrop(size), *end]),
    }
    for name, view in views.items():

        def transform(batch: dict[str, list], view: Compose = view) -> dict[str, list]:
            batch["pixel_values"] = [view(picture.convert("RGB")) for picture in batch["image"]]
            return batch

        data[name].set_transform(transform)
    trainer = Trainer(
        model,
        args,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=processor,
        data_collator=collate,
        compute_metrics=accuracy,
    )
    trainer.train()
    trainer.save_model()
    trainer.save_state()
    print(trainer.evaluate())


if __name__ == "__main__":
    main()
