"""Generated sounds with grades of quality, to try things on without data: tones, noise and dropouts, no recording."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, List, Value

__all__ = ["GRADES", "SAMPLING_RATE", "generate_sounds"]

GRADES = ("bad", "poor", "fair", "good", "excellent")  # as in a listening test
FREQUENCIES = (0.12, 0.18, 0.25, 0.25, 0.20)
SAMPLING_RATE = 8000
SECONDS = 0.5
LISTENER_NOISE = 0.3
"""How far the grade is from the damage done: standard deviation, in grades."""


def generate_sounds(num_train: int = 800, num_validation: int = 250, num_test: int = 250, seed: int = 0) -> Dataset:
    """Gives half-second tones of five grades of quality.

    A tone has a random pitch, harmonics, loudness and vibrato. The damage is 4 minus the grade plus a normal deviate
    (`LISTENER_NOISE`); chance shares it out among noise, clipping and dropouts, so that a grade can be reached in many
    ways and neighbouring grades overlap. The same arguments give the same sounds (with the same NumPy).

    Source: made for this library.

    Args:
        num_train: Rows to train on.
        num_validation: Rows to choose by.
        num_test: Rows to test on.
        seed: Another seed gives other sounds.

    Returns:
        Rows with `audio` (4,000 float32 within -1 .. 1, 8,000 a second), `label` (`ClassLabel`) and `split`.

    Raises:
        ValueError: A split has no row.
    """
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    if min(sizes.values()) < 1:
        raise ValueError(f"Each split needs at least one row, got {sizes}.")
    rng = np.random.default_rng((seed, 2))
    splits = [name for name, size in sizes.items() for _ in range(size)]
    labels = rng.choice(len(GRADES), size=len(splits), p=FREQUENCIES)
    best = len(GRADES) - 1
    sounds = [_damaged(rng, _tone(rng), max(best - label + rng.normal(0, LISTENER_NOISE), 0)) for label in labels]
    kinds = {"audio": List(Value("float32")), "label": ClassLabel(names=list(GRADES)), "split": Value("string")}
    columns = {"audio": sounds, "label": labels.tolist(), "split": splits}
    return Dataset.from_dict(columns, features=Features(kinds))


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
