"""What commit 5c0dc70 saved in `saved_by_5c0dc70/` loads today, and training resumed from it ends where it ended then.

Both models were trained for 4 epochs of 4 steps; `checkpoint-8` is the end of the jump start, in which the automatic λ
was set.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

import squared_emd.hub.pipelines  # noqa: F401  (registers the pipeline)
from squared_emd import EMDTrainer, EMDTrainingArguments, load_ground_distance

SAVED = Path(__file__).parent / "saved_by_5c0dc70"
NAMES = ["baby", "child", "teen", "adult", "senior"]
AUTO_CLASSES = {"image": AutoModelForImageClassification, "text": AutoModelForSequenceClassification}
KINDS = pytest.mark.parametrize("kind", list(AUTO_CLASSES))


def samples(kind):
    """What the models were trained on."""
    noise = torch.Generator().manual_seed(1)
    if kind == "image":
        return [{"pixel_values": torch.randn(3, 16, 16, generator=noise), "labels": k % 5} for k in range(20)]
    return [{"input_ids": torch.randint(5, 16, (6,), generator=noise), "labels": k % 5} for k in range(20)]


@KINDS
def test_model_and_ground_distance(kind):
    model = AUTO_CLASSES[kind].from_pretrained(SAVED / kind)
    assert model.config.emd["class_names"] == list(model.config.id2label.values()) == NAMES
    assert (model.config.emd["loss"], model.config.emd["epoch"]) == ("xemd2", 4)
    saved = json.loads((SAVED / kind / "config.json").read_text())["ground_distance"]
    assert load_ground_distance(SAVED / kind).tolist() == model.config.ground_distance == saved


def test_pipeline():
    answer = pipeline("ordinal-image-classification", model=str(SAVED / "image"), device="cpu")(
        Image.new("RGB", (16, 16)), rule="min_distance"
    )
    assert [entry["label"] for entry in answer["distribution"]] == NAMES
    expected = torch.tensor([entry["score"] for entry in answer["distribution"]]).double()  # (K,)
    assert answer["label"] == NAMES[int((expected @ load_ground_distance(SAVED / "image")).argmin())]


@KINDS
def test_resume_from_checkpoint(kind, tmp_path):
    """The weights, λ and D at the end are those of the run that was not interrupted."""
    shutil.copytree(SAVED / kind / "checkpoint-8", tmp_path / "checkpoint-8")
    load_processor = AutoImageProcessor if kind == "image" else AutoTokenizer
    args = EMDTrainingArguments(
        output_dir=str(tmp_path),
        loss="xemd2",
        num_train_epochs=4,
        jump_start_epochs=2,
        per_device_train_batch_size=5,
        learning_rate=0.01,
        seed=7,
        save_strategy="epoch",
        logging_strategy="epoch",
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
    )
    trainer = EMDTrainer(
        AUTO_CLASSES[kind].from_pretrained(SAVED / kind / "checkpoint-8"),
        args,
        train_dataset=samples(kind),
        processing_class=load_processor.from_pretrained(SAVED / kind),
    )
    trainer.train(resume_from_checkpoint=True)
    trainer.save_model()
    assert trainer.state.global_step == 16
    before, after = (load_file(folder / "model.safetensors") for folder in (SAVED / kind, tmp_path))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)  # another CPU may round otherwise
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (SAVED / kind, tmp_path))
    assert after["ground_distance"] == before["ground_distance"]
    assert after["emd"] == pytest.approx(before["emd"], rel=1e-5)
