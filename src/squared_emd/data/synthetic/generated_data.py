"""Generated reviews, sounds and measurements in ordered classes, to try things on without data: nothing is real.

Each set has the columns of a modality, `label` (`ClassLabel`) and `split`. What is seen follows the class only by way
of a noisy quantity, so neighboring classes overlap, no network gets all rows right, and mistakes are mostly by one.
The classes are as unequal as `FREQUENCIES`. The same arguments give the same rows (with the same NumPy). A split
without a row is a ValueError.
"""

from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features, List, Value

STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
GRADES = ("bad", "poor", "fair", "good", "excellent")  # as in a listening test
SEVERITIES = ("none", "slight", "moderate", "severe", "critical")
FREQUENCIES = {
    STARS: (0.12, 0.10, 0.16, 0.27, 0.35),
    GRADES: (0.12, 0.18, 0.25, 0.25, 0.20),
    SEVERITIES: (0.40, 0.27, 0.17, 0.11, 0.05),
}

REVIEWER_NOISE = 0.35
"""How far the stars given are from what the reviewer writes: standard deviation, in stars."""
CLAUSE_NOISE = 0.9
"""How far one thing of a place is better or worse than the place: standard deviation, in stars."""

THINGS = ("room", "breakfast", "staff", "view", "bed", "price", "kitchen", "garden", "pool", "desk", "soup", "music")
OPINIONS = {  # where a word stands on the scale of the stars, 0 .. 4
    "horrible": -0.4, "dreadful": 0.0, "awful": 0.2, "poor": 0.8, "weak": 1.0, "dull": 1.2, "so so": 1.8,
    "average": 2.0, "passable": 1.7, "fine": 2.5, "decent": 2.6, "pleasant": 3.0, "good": 3.1, "lovely": 3.6,
    "great": 3.7, "superb": 4.1, "perfect": 4.4,
}  # fmt: skip
OPPOSITES = {"good": 1.2, "great": 1.9, "perfect": 2.7, "awful": 1.9, "poor": 2.3, "lovely": 1.6}  # of "not good"
STRENGTHS = {"": 0.0, "very": 0.45, "really": 0.35, "rather": -0.3, "a bit": -0.5}  # away from the middle
FILLERS = ("we stayed two nights", "i came with friends", "it was in may", "we booked late", "the town is small", "")
VERBS = ("was", "seemed", "felt")

SAMPLING_RATE = 8000
SECONDS = 0.5
LISTENER_NOISE = 0.3
"""How far the grade is from the damage done: standard deviation, in grades."""

INSPECTOR_NOISE = 0.35
"""How far the grade is from the wear: standard deviation, in standard deviations of the wear."""

MISSING = 0.08
MATERIALS, SITES = ("steel", "bronze", "polymer"), ("north", "south", "east", "west")


def generate_reviews(num_train: int = 1600, num_validation: int = 400, num_test: int = 400, seed: int = 0) -> Dataset:
    """Gives short reviews in English of five classes of stars, in a column `text`.

    A reviewer's opinion is the stars plus a normal deviate (`REVIEWER_NOISE`), and each clause praises or blames one
    thing by an opinion plus another (`CLAUSE_NOISE`), in words that neighboring stars share, some of them negated.
    """
    splits = _splits(num_train, num_validation, num_test)
    rng = np.random.default_rng((seed, 1))
    labels = rng.choice(len(STARS), size=len(splits), p=FREQUENCIES[STARS]).tolist()
    texts = [_review(rng, label + rng.normal(0, REVIEWER_NOISE)) for label in labels]
    return _dataset({"text": Value("string")}, {"text": texts}, STARS, labels, splits)


def generate_sounds(num_train: int = 800, num_validation: int = 250, num_test: int = 250, seed: int = 0) -> Dataset:
    """Gives half-second tones of five grades of quality, in a column `audio` of 4,000 float32 within -1 to 1.

    The damage is 4 minus the grade plus a normal deviate (`LISTENER_NOISE`); chance shares it out among noise, clipping
    and dropouts.
    """
    splits = _splits(num_train, num_validation, num_test)
    rng = np.random.default_rng((seed, 2))
    labels = rng.choice(len(GRADES), size=len(splits), p=FREQUENCIES[GRADES])
    best = len(GRADES) - 1
    sounds = [_damaged(rng, _tone(rng), max(best - label + rng.normal(0, LISTENER_NOISE), 0)) for label in labels]
    return _dataset({"audio": List(Value("float32"))}, {"audio": sounds}, GRADES, labels, splits)


def generate_table(num_train: int = 1500, num_validation: int = 400, num_test: int = 400, seed: int = 0) -> Dataset:
    """Gives measurements of imaginary machines, in six columns of numbers and two of text, and the severity of wear.

    An inspector's grade follows the wear (`INSPECTOR_NOISE`), and so does what is measured, each in a way of its own.
    One value in twelve of the measured columns is missing (None), `particles` more often on slight wear.
    """
    splits = _splits(num_train, num_validation, num_test)
    rng = np.random.default_rng((seed, 3))
    count = len(splits)
    hours = rng.gamma(2, 1500, count)  # (N,)
    load = rng.beta(2, 2, count)
    material = rng.integers(len(MATERIALS), size=count)
    wear = _standardized(np.log1p(hours / 1000) * (0.5 + load) * np.array([1, 1.2, 1.5])[material])
    wear = _standardized(wear + rng.normal(0, 0.7, count))
    columns = {
        "hours": hours,
        "load": load,
        "vibration": np.exp(0.5 * wear + rng.normal(0, 0.5, count)),
        "temperature": 60 + 6 * wear + 8 * load + rng.normal(0, 6, count),
        "noise": 70 + 4 * wear**2 * (wear > 0) + rng.normal(0, 5, count),
        "particles": np.maximum(wear - 0.5, 0) * 40 + rng.exponential(10, count),
    }
    for name in ("vibration", "temperature", "noise", "particles"):
        chance = MISSING * (1 + (wear < 0)) if name == "particles" else MISSING
        columns[name] = np.where(rng.random(count) < chance, None, columns[name])
    seen = wear + rng.normal(0, INSPECTOR_NOISE, count)
    cuts = np.quantile(seen, np.cumsum(FREQUENCIES[SEVERITIES])[:-1])  # (K-1,)
    texts = {
        "material": np.array(MATERIALS)[material],
        "site": np.array(SITES)[rng.integers(len(SITES), size=count)],
    }
    kinds = {name: Value("float64") for name in columns} | {name: Value("string") for name in texts}
    return _dataset(kinds, columns | texts, SEVERITIES, np.searchsorted(cuts, seen), splits)


def _splits(num_train: int, num_validation: int, num_test: int) -> list[str]:
    """The split of each row."""
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    if min(sizes.values()) < 1:
        raise ValueError(f"Each split needs at least one row, got {sizes}.")
    return [name for name, size in sizes.items() for _ in range(size)]


def _dataset(kinds: dict, columns: dict, class_names: tuple[str, ...], labels: Any, splits: list[str]) -> Dataset:
    features = Features(kinds | {"label": ClassLabel(names=list(class_names)), "split": Value("string")})
    return Dataset.from_dict(columns | {"label": labels, "split": splits}, features=features)


def _review(rng: np.random.Generator, opinion: float) -> str:
    things = rng.choice(THINGS, size=int(rng.integers(2, 6)), replace=False)
    clauses = [
        f"the {thing} {rng.choice(VERBS)} {_words(rng, opinion + rng.normal(0, CLAUSE_NOISE))}" for thing in things
    ]
    clauses.insert(int(rng.integers(len(clauses) + 1)), str(rng.choice(FILLERS)))
    return ", ".join(filter(None, clauses)) + "."


def _words(rng: np.random.Generator, opinion: float) -> str:
    """Words that say about this much."""
    strength = str(rng.choice(list(STRENGTHS), p=(0.5, 0.15, 0.1, 0.15, 0.1)))
    if not strength and rng.random() < 0.2:
        return "not " + _nearest(rng, OPPOSITES, opinion)
    away = np.sign(opinion - 2) * STRENGTHS[strength]
    return f"{strength} {_nearest(rng, OPINIONS, opinion - away)}".strip()


def _nearest(rng: np.random.Generator, scale: dict[str, float], opinion: float) -> str:
    distances = np.abs(np.array(list(scale.values())) - opinion)
    shares = np.exp(-distances / 0.25)
    return str(rng.choice(list(scale), p=shares / shares.sum()))


def _tone(rng: np.random.Generator) -> np.ndarray:
    """(4000,) a tone with harmonics, of loudness 0.3 to 0.9."""
    time = np.arange(int(SECONDS * SAMPLING_RATE)) / SAMPLING_RATE  # (T,)
    pitch = rng.uniform(120, 500)
    vibrato = rng.uniform(0, 0.02) * np.sin(2 * np.pi * rng.uniform(3, 8) * time)
    phase = 2 * np.pi * pitch * (time + vibrato / 10)
    strengths = rng.uniform(0.2, 1, 4) / np.arange(1, 5)
    sound = sum(strength * np.sin(k * phase) for k, strength in enumerate(strengths, start=1))
    return rng.uniform(0.3, 0.9) * sound / np.abs(sound).max()


def _damaged(rng: np.random.Generator, sound: np.ndarray, damage: float) -> np.ndarray:
    """(4000,) float32, the sound with so much damage, 0 .. 4 and more."""
    noise, clipping, dropouts = damage * rng.dirichlet((1, 1, 1))
    peak = np.abs(sound).max()
    sound = sound.clip(-peak / (1 + clipping), peak / (1 + clipping)) * (1 + clipping / 2)
    sound = sound + rng.normal(0, 0.01 * 2 ** (1.6 * noise), len(sound))
    for _ in range(rng.poisson(3 * dropouts)):
        start, length = rng.integers(len(sound)), rng.integers(40, 160)
        sound[start : start + length] = 0
    return sound.clip(-1, 1).astype(np.float32)


def _standardized(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
