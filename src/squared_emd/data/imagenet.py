"""ImageNet as it lies on disk: a folder of images for each wnid, in a training and a validation half."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Image, Value

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
    root = Path(os.path.abspath(data_dir))
    if not root.is_dir():
        raise FileNotFoundError(f"data_dir must be a folder, {root} is not one. {LAYOUT}.")
    missing = [name for name in FOLDERS.values() if not (root / name).is_dir()]
    if missing:
        lack, found = (
            " and ".join(f"{name}/" for name in missing),
            ", ".join(sorted(os.listdir(root))[:FEW]) or "nothing",
        )
        raise FileNotFoundError(f"{root} lacks {lack}, it holds: {found}. {LAYOUT}.")
    wnids = {half: _wnids(half, root / folder) for half, folder in FOLDERS.items()}
    names = wnids["train"]
    alone = sorted(set(names) ^ set(wnids["validation"]))
    if alone:
        few = ", ".join(f"{wnid} is in {'train' if wnid in names else 'val'}/ only" for wnid in alone[:FEW])
        raise ValueError(
            f"{root} must have the same wnids in train/ and val/, {len(alone)} stand alone: {few}. {LAYOUT}."
        )

    paths, labels, splits = [], [], []
    for half, folder in FOLDERS.items():
        for label, wnid in enumerate(names):
            images = _images_in(root / folder / wnid)
            if not images:
                raise ValueError(
                    f"Each wnid must have images in train/ and in val/, {root / folder / wnid} has none "
                    f"({', '.join(IMAGE_SUFFIXES)}). Unpack it again, or remove {wnid} from both."
                )
            paths.append(pa.array(images))
            labels.append(np.full(len(images), label))
            splits.append(np.full(len(images), half))
    features = Features({"image": Image(), "label": ClassLabel(names=names), "split": Value("string")})
    files = pa.concat_arrays(paths)
    columns = {
        # As Image() stores a path. Dataset.from_dict would do the same image by image and take five times as long.
        "image": pa.StructArray.from_arrays([pa.nulls(len(files), pa.binary()), files], ["bytes", "path"]),
        "label": pa.array(np.concatenate(labels)),
        "split": pa.array(np.concatenate(splits)),
    }
    return Dataset(pa.table(columns, schema=features.arrow_schema))


def _images_in(folder: Path) -> list[str]:
    """The sorted paths of the images in the folder itself; the kind of an entry comes with its name, for speed."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.path
            for entry in entries
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.name[0] != "." and entry.is_file()
        )


def _subfolders(folder: Path) -> list[str]:
    """The sorted names of the folders in a folder, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())


def _wnids(half: str, folder: Path) -> list[str]:
    names = _subfolders(folder)
    if not names and half == "validation" and _images_in(folder):
        raise ValueError(
            f"The validation images must be sorted into folders of their wnid, as those in train/ are; in {folder} "
            "they lie flat, as published. Move each to val/<wnid>/; the XML annotation of each names its wnid."
        )
    if not names:
        raise ValueError(f"{folder} must hold a folder for each wnid, it has none. {LAYOUT}.")
    return names
