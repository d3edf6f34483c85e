"""How much of learning D in one pass is the forward pass: `python benchmarks/distance_pass.py`.

A ResNet-50 on images in memory; the share of the time of `learn_ground_distance` that is spent in the network, and the
same with images read from JPEG files in the process itself.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, Value
from datasets import Image as ImageColumn
from PIL import Image
from side_by_side import hardware
from torch import nn

from squared_emd import learn_ground_distance
from squared_emd.vision.networks import load_image_classifier

K, SIDE = 8, 224


class Timed(nn.Module):
    """Adds up the seconds of the forward passes of a model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config, self.seconds = model, model.config, 0.0

    def forward(self, pixel_values: torch.Tensor) -> Any:
        _wait()
        start = time.perf_counter()
        outputs = self.model(pixel_values=pixel_values)
        _wait()
        self.seconds += time.perf_counter() - start
        return outputs


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def jpegs(folder: str, count: int) -> Dataset:
    """Images of noise in the size of photographs."""
    generator = np.random.default_rng(0)
    for n in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((640, 480)).save(Path(folder, f"{n}.jpg"))
    rows = {"image": [f"{folder}/{n}.jpg" for n in range(count)], "label": [n % K for n in range(count)]}
    return Dataset.from_dict(rows, features=Features(image=ImageColumn(), label=Value("int64")))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="timm/resnet50", help="random weights are taken")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    network = load_image_classifier(args.model, list(map(str, range(K))), from_scratch=True)
    model = Timed(network.model)
    pixels = torch.randn(args.batch_size, 3, SIDE, SIDE)
    in_memory = [{"pixel_values": pixels[n % args.batch_size], "labels": n % K} for n in range(args.samples)]
    print(f"{hardware('timm')} {torch.get_num_threads()} threads. {args.model}, {args.samples} images.\n")
    print("| images | s in the network | s in all | share of the network |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in {"in memory": in_memory, "JPEG, 640 x 480": jpegs(folder, args.samples)}.items():
            measured = []
            for _ in range(args.repeats):
                model.seconds, start = 0.0, time.perf_counter()
                options = {"processor": network.processor, "batch_size": args.batch_size, "device": args.device}
                learn_ground_distance(model, rows, progress=False, **options)
                measured.append((model.seconds, time.perf_counter() - start))
            inside, whole = (statistics.median(of) for of in zip(*measured, strict=True))
            share = statistics.median(100 * part / of for part, of in measured)
            print(f"| {name} | {inside:.2f} | {whole:.2f} | {share:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
