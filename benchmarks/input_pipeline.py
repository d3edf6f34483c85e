"""Times what happens to one image, from the bytes of an 816 x 816 JPEG to a normalized tensor of 224, on one core.

    python benchmarks/input_pipeline.py [--images DIR] [--profile]

The stock ways are chains of `torchvision.transforms.v2` on PIL images, as they are usually written: `RandomRotation`
keeps its default there, which takes the nearest pixel; a second row has it bilinear, as ours is. All ways take turns,
with the same images: drawn faces with noise on them, unless a folder is given. Most of what is left of the time of a
JPEG is its entropy decoding, which no way can leave out: the more KB, the smaller the ratio. Prints Markdown tables.
"""

import argparse
import io
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, Image
from PIL import Image as PILImage
from side_by_side import hardware, shown, take_turns
from torchvision.transforms import v2

from squared_emd.data.image_cache import small_images
from squared_emd.data.synthetic.cartoon import draw_image, draw_person
from squared_emd.vision.images import decode_image, normalize, pixels_of, resize, warp
from squared_emd.vision.transforms import EvalTransform, TrainTransform, with_views

SIDE, SIZE, CROP = 816, 224, 7 / 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRAIN, EVAL = TrainTransform(SIZE, MEAN, STD), EvalTransform(SIZE, MEAN, STD)
TO_TENSOR = (v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD))

Ways = dict[str, Callable[[], object]]


def drawn_image(seed: int, noise: float) -> bytes:
    """A JPEG of a drawn face that was enlarged, with fine and coarse noise, which decides how large the file is."""
    rng = np.random.default_rng(seed)
    face = draw_image(draw_person(rng, rng.uniform(0, 8)), rng, SIDE // 3)
    pixels = np.asarray(face.resize((SIDE, SIDE), PILImage.Resampling.BICUBIC)).astype(float)
    for step, strength in ((1, noise), (4, 1.5 * noise), (16, 2 * noise)):
        grain = PILImage.fromarray(rng.normal(0, strength, (SIDE // step, SIDE // step)).astype(np.float32))
        pixels += np.asarray(grain.resize((SIDE, SIDE), PILImage.Resampling.BICUBIC))[..., None]
    file = io.BytesIO()
    PILImage.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def stock_training(interpolation: v2.InterpolationMode) -> v2.Compose:
    """Rotation, crop of the same area and ratios, flip, color: each a step of its own.

    Hue belongs to the color, as a factor for each channel changes it too.
    """
    return v2.Compose(
        [
            v2.RandomRotation(20, interpolation=interpolation),
            v2.RandomResizedCrop(SIZE, scale=(CROP**2, CROP**2), ratio=(0.9, 1.1)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.05, 0.05, 0.05, 0.02),
            *TO_TENSOR,
        ]
    )


NEAREST = stock_training(v2.InterpolationMode.NEAREST)
BILINEAR = stock_training(v2.InterpolationMode.BILINEAR)
STOCK_EVAL = v2.Compose([v2.Resize(round(SIZE / CROP)), v2.CenterCrop(SIZE), *TO_TENSOR])


def decode_stock(image: dict) -> PILImage.Image:
    """As `datasets` decodes a image, and as it is then usually converted."""
    return Image().decode_example(image).convert("RGB")


def for_each(images: list, function: Callable[[dict], object]) -> Callable[[], object]:
    """The same for all images."""
    return lambda: [function(image) for image in images]


def training_ways(images: list, small: list, jpegs: list) -> Ways:
    """The first is the base."""
    return {
        "torchvision v2": for_each(images, lambda image: NEAREST(decode_stock(image))),
        "torchvision v2, rotation bilinear": for_each(images, lambda image: BILINEAR(decode_stock(image))),
        "`TrainTransform`, decoded by `datasets`": for_each(images, lambda image: TRAIN(decode_stock(image))),
        "`TrainTransform`, from the JPEG": for_each(images, TRAIN),
        "`TrainTransform`, from `small_images`": for_each(small, TRAIN),
        "`TrainTransform`, from `small_images(quality=95)`": for_each(jpegs, TRAIN),
    }


def evaluation_ways(images: list, small: list, jpegs: list) -> Ways:
    """The first is the base."""
    return {
        "torchvision v2": for_each(images, lambda image: STOCK_EVAL(decode_stock(image))),
        "`EvalTransform`, decoded by `datasets`": for_each(images, lambda image: EVAL(decode_stock(image))),
        "`EvalTransform`, from the JPEG": for_each(images, EVAL),
        "`EvalTransform`, from `small_images`": for_each(small, EVAL),
        "`EvalTransform`, from `small_images(quality=95)`": for_each(jpegs, EVAL),
    }


def row_ways(dataset: Dataset, small: Dataset) -> Ways:
    """The same with what it takes to read a row of a dataset, as a DataLoader does; the first is the base."""

    def stock(batch: dict) -> dict:
        return {"pixel_values": [NEAREST(image.convert("RGB")) for image in batch["image"]]}

    rows = {
        "torchvision v2, `with_transform`": dataset.with_transform(stock),
        "`with_views`": with_views(dataset, TRAIN, label_column=None),
        "`with_views` of `small_images`": with_views(small, TRAIN, label_column=None),
    }
    return {name: lambda data=data: [data[k] for k in range(len(data))] for name, data in rows.items()}


def stock_parts(image: dict) -> Ways:
    """The steps of the stock chain, each on what the one before it gave."""
    image = decode_stock(image)
    rotate, crop, flip, jitter = NEAREST.transforms[:4]
    cropped = crop(image)
    return {
        "decode, convert": lambda: decode_stock(image),
        "rotate": lambda: rotate(image),
        "crop and resize": lambda: crop(image),
        "flip, color": lambda: jitter(flip(cropped)),
        "to a tensor, normalize": lambda: v2.Compose(TO_TENSOR)(cropped),
    }


def own_parts(image: dict) -> Ways:
    """The steps of `TrainTransform`, each on what the one before it gave."""
    image, (_, _, right, bottom) = decode_image(image, TRAIN.shorter_side)
    pixels = pixels_of(image)
    side = TRAIN.shorter_side
    small = resize(pixels, side, side)
    rows = [[0.8 * SIZE, -0.3 * SIZE, side / 2], [0.3 * SIZE, 0.8 * SIZE, side / 2]]
    view = warp(small, rows, SIZE)
    parts = {
        "decode": lambda: decode_image(image, TRAIN.shorter_side),
        "to a tensor": lambda: pixels_of(image),
        "reduce": lambda: resize(pixels, side, side),
        "crop, rotate, stretch, flip": lambda: warp(small, rows, SIZE),
        "normalize": lambda: normalize(view, MEAN, STD),
    }
    if min(right, bottom) <= side:
        del parts["reduce"]
    return parts


def print_table(title: str, ways: Ways, images: int, repeats: int) -> None:
    """Milliseconds, images a second, and how many times the first way's speed that is."""
    seconds = take_turns(ways, repeats)
    base = next(iter(seconds.values()))
    print(f"\n| {title} | ms a image | images a second | times the first (quartiles) |\n|---|--:|--:|--:|")
    for name, times in seconds.items():
        each = statistics.median(times) / images
        print(f"| {name} | {1e3 * each:.2f} | {1 / each:.0f} | {shown(base, times)} |")


def print_profile(title: str, parts: Ways, repeats: int) -> None:
    """Where the time of one image goes."""
    medians = {name: statistics.median(times) for name, times in take_turns(parts, repeats, warm_ups=3).items()}
    print(f"\n| {title} | ms | share |\n|---|--:|--:|")
    for name, seconds in medians.items():
        print(f"| {name} | {1e3 * seconds:.2f} | {100 * seconds / sum(medians.values()):.0f} % |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", metavar="DIR", help="a folder of JPEG files in place of drawn ones")
    parser.add_argument("--noise", type=float, default=0.3, help="of drawn images, in gray levels; more is more KB")
    parser.add_argument("--number", type=int, default=4, help="of images")
    parser.add_argument("--repeats", type=int, default=60, help="turns of each way")
    parser.add_argument("--profile", action="store_true", help="say where the time of one image goes, too")
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if args.images:
        files = [path for path in sorted(Path(args.images).iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
        if not files:
            parser.error(f"--images must be a folder with .jpg files, {args.images} has none.")
        contents = [path.read_bytes() for path in files[: args.number]]
    else:
        contents = [drawn_image(seed, args.noise) for seed in range(args.number)]
    images = [{"bytes": content, "path": None} for content in contents]
    dataset = Dataset.from_dict({"image": images}, features=Features(image=Image()))
    with tempfile.TemporaryDirectory() as folder:
        small_rows = small_images(dataset, TRAIN.shorter_side, cache_dir=folder)
        jpeg_rows = small_images(dataset, TRAIN.shorter_side, quality=95, cache_dir=folder)
        small, jpegs = (rows.cast_column("image", Image(decode=False))[:]["image"] for rows in (small_rows, jpeg_rows))
        sides = {"{} x {}".format(*decode_stock(image).size) for image in images}
        sizes = [sum(len(image["bytes"]) for image in some) / 1e3 / len(some) for some in (images, small, jpegs)]
        print(
            f"{len(images)} JPEG files of {', '.join(sorted(sides))} pixels and {sizes[0]:.0f} KB; stored small, "
            f"{sizes[1]:.0f} KB, as JPEG of quality 95 {sizes[2]:.0f} KB. One thread, {args.repeats} turns."
        )
        number = len(images)
        print_table("training", training_ways(images, small, jpegs), number, args.repeats)
        print_table("evaluation", evaluation_ways(images, small, jpegs), number, args.repeats)
        print_table("training, as rows of a dataset", row_ways(dataset, small_rows), number, args.repeats)
        if args.profile:
            print_profile("torchvision v2", stock_parts(images[0]), 4 * args.repeats)
            print_profile("`TrainTransform`, from the JPEG", own_parts(images[0]), 4 * args.repeats)
            print_profile("`TrainTransform`, from `small_images`", own_parts(small[0]), 4 * args.repeats)
    print(f"\n{hardware('torchvision', 'pillow', 'datasets')}")


if __name__ == "__main__":
    main()
