"""Drawn faces in Adience's own layout, to try things on without data: no photograph, nothing downloaded."""

import os
from pathlib import Path

import numpy as np

from squared_emd.data.adience import AGE_BOUNDS, AGE_GROUPS, NUM_FOLDS, PREFIXES
from squared_emd.data.prepared import prepare_once
from squared_emd.data.synthetic.cartoon import draw_image, draw_person

APPARENT_AGE_NOISE = 0.4
"""How far a person looks from their true age: standard deviation, in widths of an age group."""

VERSION = 2  # goes up when another folder comes out of the same arguments

ADIENCE_COUNTS = (2519, 2163, 2132, 1655, 4950, 2300, 830, 875)
MEAN_IMAGES = 4
LABELS_FILE = "labels.csv"  # the same faces as people have data of their own: image, label, group
HEADER = "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\ttilt_ang\tfiducial_yaw_angle\tfiducial_score"
README = """These are drawn faces and no photographs: shapes that squared_emd.data.synthetic drew from random numbers.
They show no person. The files have the layout of Adience, so that whatever reads Adience can be tried on them;
a figure measured on them says nothing about Adience.
"""


def draw_faces(
    output_dir: str | os.PathLike | None = None, *, num_faces: int = 1500, size: int = 96, seed: int = 0
) -> Path:
    """Draws faces of eight age groups in five folds of disjoint people, in Adience's layout and proportions.

    A person has one true age and looks older or younger by a normal deviate (`APPARENT_AGE_NOISE`), so no network gets
    all right. `labels.csv` names each image, its group and its person once more.
    """
    edges = np.round(np.cumsum((0, *ADIENCE_COUNTS)) * num_faces / sum(ADIENCE_COUNTS)).astype(int)
    counts = np.diff(edges).tolist()  # whole numbers in Adience's proportions that sum to num_faces
    if min(counts) < NUM_FOLDS:
        raise ValueError(f"Each group needs a face in each fold: num_faces must be at least 98, got {num_faces}.")
    settings = {"pictures": "faces", "version": VERSION, "num_faces": num_faces, "size": size, "seed": seed}
    settings["noise"] = APPARENT_AGE_NOISE
    return prepare_once(
        output_dir, "drawn_faces", settings, README, lambda folder: _draw_folds(folder, counts, size, seed)
    )


def _draw_folds(folder: Path, counts: list[int], size: int, seed: int) -> None:
    lines, table = [[HEADER] for _ in range(NUM_FOLDS)], ["image,label,group"]
    user = image_index = 0
    for group, count in enumerate(counts):
        for k in range(NUM_FOLDS):
            fold = (group + k) % NUM_FOLDS
            left = count // NUM_FOLDS + (k < count % NUM_FOLDS)
            while left:
                rng = np.random.default_rng((seed, 0, user))
                age = group + rng.uniform(0, 1) + rng.normal(0, APPARENT_AGE_NOISE)
                person = draw_person(rng, age)
                user_id = f"{10000000 + user}@N0{fold}"
                (folder / "aligned" / user_id).mkdir(parents=True)
                num_images = min(left, int(rng.integers(1, 2 * MEAN_IMAGES)))
                for _ in range(num_images):
                    name = f"drawn_{image_index:05d}.jpg"
                    image = draw_image(person, np.random.default_rng((seed, 1, image_index)), size)
                    path = f"aligned/{user_id}/{PREFIXES['aligned']}.{user}.{name}"
                    image.save(folder / path, quality=90)
                    table.append(f"{path},{AGE_GROUPS[group]},{user_id}")
                    fields = (user_id, name, user, AGE_BOUNDS[group], "mf"[person.woman], 0, 0, size, size, 0, 0, 50)
                    lines[fold].append("\t".join(map(str, fields)))
                    image_index += 1
                left -= num_images
                user += 1
    for fold, rows in enumerate(lines):
        (folder / f"fold_{fold}_data.txt").write_text("\n".join(rows) + "\n")
    (folder / LABELS_FILE).write_text("\n".join(table) + "\n")
