"""ImageNet as it lies on disk: a folder of images for each wnid, in a training and a validation half."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Image, Value

from squared_emd.data.published_files import data_folder

__all__ = ["load_imagenet"]

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""How the name of an image ends, in any case."""

FOLDERS = {"train": "train", "validation": "val"}
LAYOUT = "ImageNet is train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, with the same wnids in both"
FEW = 5


def load_imagenet(data_dir: str | os.PathLike) -> Dataset:
    """Gives the images of ImageNet, the training half first, each half in the order of the sorted paths.

    Only the names of files are read, no image is opened: 1.3 million images would take an hour to decode. The
    published validation images lie flat in one folder and must have been sorted into folders of their wnid.
    Files that are no images are ignored, and so is what has a name that starts with a dot.

    Source: layout of Russakovsky et al. 2015 (ILSVRC 2012) as it is usually unpacked; Hou et al. 2016, Sec. 4.7.

    Args:
        data_dir: The folder that holds `train/` and `val/`. The classes may be any, a thousand or two.

    Returns:
        A dataset with `image` (decoded when read), `label` (`ClassLabel`, named by the sorted wnids) and `split`
        (`train` or `validation`).

    Raises:
        FileNotFoundError: `data_dir`, `train/` or `val/` is missing.
        ValueError: A half has no folders of wnids, a wnid is in one half only, or it has no images.
    """
    root = data_folder(data_dir, LAYOUT)
    missing = " and ".join(f"{name}/" for name in FOLDERS.values() if not (root / name).is_dir())
    if missing:
        found = ", ".join(sorted(os.listdir(root))[:FEW]) or "nothing"
        raise FileNotFoundError(f"{root} lacks {missing}, it holds: {found}. {LAYOUT}.")
    train, validation = (_wnids(half, root / folder) for half, folder in FOLDERS.items())
    alone = sorted(set(train) ^ set(validation))
    if alone:
        few = ", ".join(f"{wnid} is in {'train' if wnid in train else 'val'}/ only" for wnid in alone[:FEW])
        raise ValueError(
            f"{root} must have the same wnids in train/ and val/, {len(alone)} stand alone: {few}. {LAYOUT}."
        )
    folders = [(half, label, root / FOLDERS[half] / wnid) for half in FOLDERS for label, wnid in enumerate(train)]
    images = [_images_in(folder) for *_, folder in folders]
    for (*_, folder), found in zip(folders, images, strict=True):
        if not found:
            raise ValueError(
                f"Each wnid must have images in train/ and in val/, {folder} has none ({', '.join(IMAGE_SUFFIXES)}). "
                f"Unpack it again, or remove {folder.name} from both."
            )
    counts = list(map(len, images))
    paths = pa.concat_arrays(map(pa.array, images))  # (N,)
    columns = {
        # As Image() stores a path. Dataset.from_dict would do the same image by image and take five times as long.
        "image": pa.StructArray.from_arrays([pa.nulls(len(paths), pa.binary()), paths], ["bytes", "path"]),
        "label": pa.array(np.repeat([label for _, label, _ in folders], counts)),
        "split": pa.array(np.repeat([half for half, *_ in folders], counts)),
    }
    features = Features({"image": Image(), "label": ClassLabel(names=train), "split": Value("string")})
    return Dataset(pa.table(columns, schema=features.arrow_schema))


def _images_in(folder: Path) -> list[str]:
    """The sorted paths of the images in the folder itself; the kind of an entry comes with its name, for speed."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.path
            for entry in entries
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.name[0] != "." and entry.is_file()
        )


def _wnids(half: str, folder: Path) -> list[str]:
    """The sorted names of the folders in a folder, without hidden ones."""
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != "." and path.is_dir())
    if not names and half == "validation" and _images_in(folder):
        raise ValueError(
            f"The validation images must be sorted into folders of their wnid, as those in train/ are; in {folder} "
            "they lie flat, as published. Move each to val/<wnid>/; the XML annotation of each names its wnid."
        )
    if not names:
        raise ValueError(f"{folder} must hold a folder for each wnid, it has none. {LAYOUT}.")
    return names
