"""Drawn people in the layouts of Adience and of Images of Groups, to try things on without data: no photograph."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from squared_emd.data.adience import AGE_BOUNDS, AGE_GROUPS, NUM_FOLDS, PREFIXES
from squared_emd.data.images_of_groups import AGE_CODES, FOLDERS, SPLITS
from squared_emd.data.prepared import prepare_once
from squared_emd.data.published_files import write_mat
from squared_emd.data.synthetic.cartoon import background, develop, draw_image, draw_into, draw_person

APPARENT_AGE_NOISE = 0.4
"""How far a person looks from their true age: standard deviation, in widths of an age group."""

FACES_VERSION, GROUPS_VERSION = 2, 1  # go up when another folder comes out of the same arguments

ADIENCE_COUNTS = (2519, 2163, 2132, 1655, 4950, 2300, 830, 875)
MEAN_IMAGES = 4
LABELS_FILE = "labels.csv"  # the same faces as people have data of their own: image, label, group
HEADER = "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\ttilt_ang\tfiducial_yaw_angle\tfiducial_score"
FACES_README = """\
These are drawn faces and no photographs: shapes that squared_emd.data.synthetic drew from random numbers.
They show no person. The files have the layout of Adience, so that whatever reads Adience can be tried on them;
a figure measured on them says nothing about Adience.
"""

AGE_EDGES = (0, 1, 2, 3, 4, 5, 7, 8)
"""Where the seven groups begin and end on the age axis of `draw_person`, whose units are the groups of Adience: 37-65
takes the two of 38-43 and 48-53."""

HEAD = 37  # half the height of a grown-up's head, in pixels of the image
COLUMN, ROW = 2.45, 2.6  # from one head to the next and from one row to the next, in these halves
NUM_GROUPS = len(AGE_CODES)
MAT_FOLDER = "AgeGenderClassification"
GROUPS_README = """\
These are drawn people and no photographs: shapes that squared_emd.data.synthetic drew from random
numbers. They show nobody. The files have the layout of Images of Groups, so that whatever reads Images of Groups can be
tried on them; a figure measured on them says nothing about Images of Groups.
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
    settings = {"pictures": "faces", "version": FACES_VERSION, "num_faces": num_faces, "size": size, "seed": seed}
    settings["noise"] = APPARENT_AGE_NOISE
    return prepare_once(
        output_dir, "drawn_faces", settings, FACES_README, lambda folder: _draw_folds(folder, counts, size, seed)
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


def draw_groups(
    output_dir: str | os.PathLike | None = None, *, num_train: int = 1120, num_test: int = 280, seed: int = 0
) -> Path:
    """Draws images of 2 to 8 people with seven age groups, in the layout of Images of Groups.

    Each person stands in one image, each image in one split, and each group has equally many faces, so their numbers
    must be multiples of 7. Heads are 57 to 83 pixels high (those of children up to an eighth less).
    """
    counts = {"train": num_train, "test": num_test}
    for split, count in counts.items():
        if count < NUM_GROUPS or count % NUM_GROUPS:
            raise ValueError(
                f"num_{split} must be a positive multiple of {NUM_GROUPS}, the number of groups, got {count}."
            )
    settings = {"pictures": "groups", "version": GROUPS_VERSION, "num_train": num_train, "num_test": num_test}
    settings |= {"seed": seed, "noise": APPARENT_AGE_NOISE}
    return prepare_once(
        output_dir, "drawn_groups", settings, GROUPS_README, lambda folder: _draw_set(folder, counts, seed)
    )


def _draw_set(folder: Path, counts: dict[str, int], seed: int) -> None:
    lines = {name: [] for name in FOLDERS}
    for name in (*FOLDERS, MAT_FOLDER):
        (folder / name).mkdir()
    image_index = 0
    for part, (split, count) in enumerate(counts.items()):
        rng = np.random.default_rng((seed, part))
        labels = rng.permutation(np.repeat(np.arange(NUM_GROUPS), count // NUM_GROUPS)).tolist()
        names, faces = [], []
        while labels:
            size = min(len(labels), int(rng.integers(2, 9)))
            size += (len(labels) - size == 1) * (1 if size < 8 else -1)  # nobody stands alone
            group, labels = labels[:size], labels[size:]
            # The folders' numbers say how many faces were found at least.
            place = str(rng.choice([name for name in FOLDERS if int(name[-2]) <= size]))
            name = f"drawn_{image_index:04d}.jpg"
            image, rows = _draw_group(group, np.random.default_rng((seed, 2, image_index)))
            image.save(folder / place / name, quality=92)
            lines[place] += [name, *("\t".join(map(str, row)) for row in rows)]
            names += [f"C:\\drawn\\{place}\\{name}"] * size
            faces += rows
            image_index += 1
        _write_mat(folder / MAT_FOLDER, split, names, np.array(faces))
    for name, rows in lines.items():
        (folder / name / "PersonData.txt").write_text("".join(row + "\n" for row in rows))


def _draw_group(labels: list[int], rng: np.random.Generator) -> tuple[Image.Image, list[tuple[int, ...]]]:
    """An image of people of these groups, and a row of PersonData.txt for each."""
    back = len(labels) // 2 if len(labels) > 4 else 0
    rows = [back, len(labels) - back] if back else [len(labels)]
    unit = 2 * HEAD  # the canvas is twice as large as the image
    width, height = max(rows) + 0.75 * (len(set(rows)) < len(rows)) + 0.3, (len(rows) - 1) * ROW + 3.9
    canvas = Image.new("RGB", (2 * round(width * COLUMN * HEAD), 2 * round(height * HEAD)), background(rng))
    faces = []
    for k, count in enumerate(rows):
        # Those behind look through the gaps between those before them.
        shift = (k - 0.5) * 0.5 if len(set(rows)) < len(rows) else 0
        for column in range(count):
            label = labels[len(faces)]
            age = rng.uniform(*AGE_EDGES[label : label + 2]) + rng.normal(0, APPARENT_AGE_NOISE)
            person = draw_person(rng, age)
            x = canvas.width / 2 + ((column - (count - 1) / 2 + shift) * COLUMN + rng.uniform(-0.1, 0.1)) * unit
            y = (1.75 + k * ROW + rng.uniform(-0.12, 0.12)) * unit
            scale = unit * person.looks["size"] * rng.uniform(0.88, 1.12)
            lean = rng.normal(0, 0.15)
            eyes = draw_into(canvas, person, rng, np.array([x, y]), scale, lean, waist=3 * ROW)
            left_right = np.round(eyes / 2 - 0.5).astype(int)  # a pixel's center has whole numbers
            faces.append((*left_right.ravel().tolist(), AGE_CODES[label], 1 if person.woman else 2))
    return develop(canvas, rng, face=3 * HEAD), faces


def _write_mat(folder: Path, split: str, names: list[str], faces: np.ndarray) -> None:
    """Writes the split as published: a 1 x 1 struct with one array a field."""
    file, key = SPLITS[split]
    left, right = faces[:, :2], faces[:, 2:4]  # (N, 2) each
    distance = np.hypot(*(right - left).T)
    fields = {
        "name": np.array([names], dtype=object),  # (1, N)
        "ageClass": faces[:, 4:5].astype(np.uint8),  # (N, 1)
        "genClass": faces[:, 5:6].astype(np.uint8),  # (N, 1)
        "facePosSize": np.column_stack([left, right, (left + right) / 2, distance]).astype(np.float32),  # (N, 7)
    }
    write_mat(folder / file, {key: fields}, "drawn people")
