"""Times `recipes/adience.py` from end to end against Hugging Face's stock way of training an image classifier.

    python benchmarks/recipe.py                                  # drawn faces of 816 x 816 pixels; some minutes
    python benchmarks/recipe.py --recipe_args "--small_pictures 256"
    python benchmarks/recipe.py --stock run_image_classification.py --accuracy accuracy      # Hugging Face's own script

Both train the same network from the same random weights on the same images (test fold 0 left out) for as many epochs
with as large batches, SGD and as many workers, evaluate once at the end, and save the model. The recipe trains with its
own loss, augmentation and checks of the data. `small` is a network so light that the images decide; with the others
it is the network. Each run is a process of its own; they take turns. "Training" is what the log of a run says of its
images a second; "whole command" has the start-up, the checks, the test and the report with it.

Without `--stock` the stock way is `stock_classifier.py` beside this file, which is ours: what Hugging Face's example
does, without its options. With it, that script is run as it is; it needs evaluate's `accuracy`, from the Hub or a
folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from datasets import Dataset, Image, load_dataset
from huggingface_hub.constants import HF_HOME
from side_by_side import hardware, shown, take_turns
from transformers import BitImageProcessor, ResNetConfig, ResNetForImageClassification, set_seed

from squared_emd.data.adience import AGE_GROUPS, load_adience
from squared_emd.data.splits import fold_split
from squared_emd.data.synthetic.drawn_people import draw_faces

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "recipes" / "adience.py"
STAND_IN = HERE / "stock_classifier.py"
SIDE = 816  # of a image in Adience's archive of aligned faces
EPOCHS = {"small": 4}  # where none are asked for; the others: 2
NETWORKS = {
    "small": {"embedding_size": 8, "hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1], "layer_type": "basic"},
    "resnet18": {"hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"},
    "resnet50": {},
}


def make_network(name: str, folder: Path) -> Path:
    """A network with random weights and its processor, as a folder that both ways load."""
    set_seed(0)
    config = ResNetConfig(**NETWORKS[name], num_labels=len(AGE_GROUPS))
    ResNetForImageClassification(config).save_pretrained(folder / name)
    square = {"height": 224, "width": 224}
    BitImageProcessor(size={"shortest_edge": 224}, crop_size=square).save_pretrained(folder / name)
    return folder / name


def as_image_folder(rows: Dataset, folder: Path) -> Path:
    """The images once more as links in a folder a class, as `imagefolder` wants them."""
    for number, row in enumerate(rows.cast_column("image", Image(decode=False))):
        place = folder / AGE_GROUPS[row["label"]]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").symlink_to(row["image"]["path"])
    return folder


def commands(args: argparse.Namespace, network: str, faces: Path, links: Path, folder: Path) -> dict[str, list[str]]:
    """By name, the command line of each way; it ends with the folder that it writes."""
    model, workers = make_network(network, folder), str(args.workers)
    shared = ["--num_train_epochs", str(epochs_of(args, network)), "--per_device_train_batch_size", str(args.batch)]
    shared += ["--per_device_eval_batch_size", str(2 * args.batch), "--dataloader_num_workers", workers]
    shared += ["--learning_rate", "1e-3", "--optim", "sgd", "--optim_args", "momentum=0.98", "--eval_strategy", "no"]
    shared += ["--save_strategy", "no", "--logging_strategy", "epoch", "--disable_tqdm", "True", "--report_to", "none"]
    if args.dtype == "bf16":
        shared += ["--bf16", "True"]
    ours = ["--data_dir", str(faces), "--model", str(model), "--loss", args.loss]
    if args.loss.startswith("xemd"):
        ours += ["--jump_start_epochs", "1", "--regularizer_weight", "1"]
    stock = ["--model_name_or_path", str(model), "--remove_unused_columns", "False"]
    stock += ["--train_dir", str(links / "train"), "--validation_dir", str(links / "validation")]
    if args.stock:
        stock += ["--do_train", "--do_eval"]
    name = "Hugging Face's example" if args.stock else "stock way, written by us"
    script = args.stock or STAND_IN
    return {
        name: [str(script), *stock, *shared, "--output_dir"],
        f"recipes/adience.py, {args.loss}": [str(RECIPE), *ours, *shared, *args.recipe_args, "--output_dir"],
    }


def epochs_of(args: argparse.Namespace, network: str) -> int:
    """How many epochs a network is trained."""
    return args.epochs or EPOCHS.get(network, 2)


def environment(args: argparse.Namespace, folder: Path) -> dict[str, str]:
    """That of a run; what it stores for later runs goes when the benchmark ends."""
    own = {"HF_DATASETS_CACHE": str(folder / "datasets"), "OMP_NUM_THREADS": str(args.threads)}
    own |= {"XDG_CACHE_HOME": str(folder / "cache"), "HF_HOME": HF_HOME}
    return os.environ | own | {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}


def run(command: list[str], args: argparse.Namespace, folder: Path) -> float:
    """Run a command in a process of its own, and give the images a second that its training took."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        where = args.accuracy.resolve().parent if args.accuracy else folder
        process = [sys.executable, *command, output]
        done = subprocess.run(process, cwd=where, env=environment(args, folder), capture_output=True, text=True)
        if done.returncode:
            sys.exit(
                f"{shlex.join(process)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        (state,) = Path(output).rglob("trainer_state.json")
        log = json.loads(state.read_text())["log_history"]
    (speed,) = [entry["train_samples_per_second"] for entry in log if "train_samples_per_second" in entry]
    return speed


def compare(args: argparse.Namespace, network: str, faces: Path, links: Path, folder: Path) -> None:
    """Measure one network and print its rows."""
    speeds: dict[str, list[float]] = defaultdict(list)
    lines = commands(args, network, faces, links, folder)

    def timed(name: str) -> None:
        speeds[name].append(run(lines[name], args, folder))

    wall = take_turns({name: lambda name=name: timed(name) for name in lines}, args.repeats, warm_ups=args.warm_ups)
    base = next(iter(lines))
    for name in lines:
        inverse = {way: [1 / speed for speed in values[args.warm_ups :]] for way, values in speeds.items()}
        speed = statistics.median(speeds[name][args.warm_ups :])
        cells = [network, f"{epochs_of(args, network)}", name, f"{speed:.1f}", shown(inverse[base], inverse[name])]
        cells += [f"{statistics.median(wall[name]):.1f}", shown(wall[name], wall[base])]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, help="Adience; default: faces are drawn")
    parser.add_argument("--faces", type=int, default=240, help="how many are drawn, at 816 x 816 pixels")
    parser.add_argument("--model", nargs="+", choices=list(NETWORKS), default=["small", "resnet18"])
    parser.add_argument("--epochs", type=int, help="default: 4 of small, 2 of the others")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of PyTorch; default: the cores that the workers leave, at least 1")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32", help="bf16: autocast")
    parser.add_argument("--loss", default="xemd2", help="of the recipe")
    parser.add_argument("--recipe_args", type=shlex.split, default=[], help="further options of the recipe, in quotes")
    parser.add_argument("--stock", type=Path, help="a copy of Hugging Face's run_image_classification.py")
    parser.add_argument("--accuracy", type=Path, help="a folder `accuracy` with evaluate's metric, for --stock offline")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--warm_ups", type=int, default=0, help="runs of each way before those that count")
    args = parser.parse_args()
    args.threads = args.threads or max(1, (os.cpu_count() or 1) - args.workers)
    args.stock = args.stock and args.stock.resolve()

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        faces = (
            args.data_dir.resolve() if args.data_dir else draw_faces(folder / "faces", num_faces=args.faces, size=SIDE)
        )
        rows = dict(zip(("train", "validation"), fold_split(load_adience(faces), 0), strict=True))
        links = folder / "links"
        for name, part in rows.items():
            as_image_folder(part, links / name)
        files = {name: str(links / name / "**") for name in rows}
        load_dataset(
            "imagefolder", data_files=files, cache_dir=folder / "datasets"
        )  # the stock way finds its table made
        print(hardware("transformers", "datasets", "torchvision", "Pillow"))
        kind = "Adience's" if args.data_dir else "drawn"
        print(f"{len(rows['train'])} {kind} images an epoch, batches of {args.batch}, {args.dtype}", end="")
        print(f"; recipe options: {shlex.join(args.recipe_args)}." if args.recipe_args else ".")
        print(
            f"{args.workers} workers, {args.threads} threads. Medians of {args.repeats} runs (quartiles of ratios).\n"
        )
        print("| network | epochs | way | training, images/s | times stock | whole command, s | times stock |")
        print("|---|---:|---|---:|---:|---:|---:|", flush=True)
        for network in args.model:
            compare(args, network, faces, links, folder)


if __name__ == "__main__":
    main()
