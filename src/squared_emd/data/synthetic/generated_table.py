"""A generated table with grades of severity, to try things on without data: no machine was measured."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value

__all__ = ["SEVERITIES", "generate_table"]

SEVERITIES = ("none", "slight", "moderate", "severe", "critical")
FREQUENCIES = (0.40, 0.27, 0.17, 0.11, 0.05)
INSPECTOR_NOISE = 0.35
"""How far the grade is from the wear: standard deviation, in standard deviations of the wear."""
MISSING = 0.08
MATERIALS, SITES = ("steel", "bronze", "polymer"), ("north", "south", "east", "west")


def generate_table(num_train: int = 1500, num_validation: int = 400, num_test: int = 400, seed: int = 0) -> Dataset:
    """Gives rows of measurements of imaginary machines, and five grades of the severity of their wear.

    The wear of a machine grows with its hours, its load, and by its material. What is measured (`vibration`,
    `temperature`, `noise`, `particles`) follows the wear, each in a way of its own and with noise; an inspector's grade
    follows it too (`INSPECTOR_NOISE`), cut so that the grades are as unequal as `FREQUENCIES`. One value in twelve of
    the measured columns is missing, `particles` more often on slight wear. The same arguments give the same rows.

    Source: made for this library.

    Args:
        num_train: Rows to train on.
        num_validation: Rows to choose by.
        num_test: Rows to test on.
        seed: Another seed gives other rows.

    Returns:
        Rows with six columns of numbers, two of text, `label` (`ClassLabel`) and `split`; None where one is missing.

    Raises:
        ValueError: A split has no row.
    """
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    if min(sizes.values()) < 1:
        raise ValueError(f"Each split needs at least one row, got {sizes}.")
    rng = np.random.default_rng((seed, 3))
    splits = [name for name, size in sizes.items() for _ in range(size)]
    count = len(splits)
    hours = rng.gamma(2, 1500, count)  # (N,)
    load = rng.beta(2, 2, count)
    material = rng.integers(len(MATERIALS), size=count)
    wear = _standardised(np.log1p(hours / 1000) * (0.5 + load) * np.array([1, 1.2, 1.5])[material])
    wear = _standardised(wear + rng.normal(0, 0.7, count))
    columns = {
        "hours": hours,
        "load": load,
        "vibration": np.exp(0.5 * wear + rng.normal(0, 0.5, count)),
        "temperature": 60 + 6 * wear + 8 * load + rng.normal(0, 6, count),
        "noise": 70 + 4 * wear**2 * (wear > 0) + rng.normal(0, 5, count),
        "particles": np.maximum(wear - 0.5, 0) * 40 + rng.exponential(10, count),
    }
    measured = ("vibration", "temperature", "noise", "particles")
    for name in measured:
        chance = MISSING * (1 + (wear < 0)) if name == "particles" else MISSING
        columns[name] = [
            None if gone else value for gone, value in zip(rng.random(count) < chance, columns[name], strict=True)
        ]
    seen = wear + rng.normal(0, INSPECTOR_NOISE, count)
    cuts = np.quantile(seen, np.cumsum(FREQUENCIES)[:-1])  # (K-1,)
    texts = {
        "material": [MATERIALS[k] for k in material],
        "site": [SITES[k] for k in rng.integers(len(SITES), size=count)],
    }
    kinds = {name: Value("float64") for name in columns} | {name: Value("string") for name in texts}
    kinds |= {"label": ClassLabel(names=list(SEVERITIES)), "split": Value("string")}
    rows = columns | texts | {"label": np.searchsorted(cuts, seen), "split": splits}
    return Dataset.from_dict(rows, features=Features(kinds))


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
