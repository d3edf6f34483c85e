"""Loads models from the Hub of `HF_ENDPOINT` where squared_emd cannot be imported; `test_push.py` runs it.

It is given the folder with `logits.npz` and one for what it sees.
"""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
from transformers.utils import cached_file

TEXT = "so good that it is a joy to read and read again"


def main(pushed, folder, first):
    sys.modules["squared_emd"] = None  # every import of it fails, as where it is not installed
    saved = np.load(pushed / "logits.npz")
    inputs = torch.tensor(saved["inputs"])
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))
    seen, logits = {}, {}
    for name in saved.files:
        if name == "inputs":
            continue
        repo, _, at_first = name.partition(" at ")
        revision = {"revision": first} if at_first else {}
        model = AutoModelForImageClassification.from_pretrained(f"me/{repo}", **revision).eval()
        processor = AutoImageProcessor.from_pretrained(f"me/{repo}", **revision)
        with torch.no_grad():
            # a copy lies at the same alignment in both programs; else convolutions differ in the last bit
            logits[name] = copy.deepcopy(model)(pixel_values=inputs).logits.numpy()
            p = model(pixel_values=processor(image, return_tensors="pt")["pixel_values"]).logits.softmax(-1)[0]
        matrix = model.config.ground_distance
        if isinstance(matrix, str):
            matrix = load_file(cached_file(f"me/{repo}", matrix))["ground_distance"].tolist()
        seen[name] = {
            "emd": model.config.emd,
            "ground_distance": matrix,
            "shown": {model.config.id2label[k]: share for k, share in enumerate(p.tolist())},
            "pipeline": pipeline("image-classification", model=f"me/{repo}", top_k=1000, **revision)(image),
        }
    samples = {"text-classification": TEXT, "audio-classification": np.load(pushed / "sound.npy")}
    for task, sample in samples.items():
        (answer,) = pipeline(task, model=f"me/{task}", top_k=None)([sample])
        seen[task] = {entry["label"]: entry["score"] for entry in answer}
    np.savez(folder / "loaded.npz", **logits)
    (folder / "loaded.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
