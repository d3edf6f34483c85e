"""Generated reviews with stars, to try things on without data: put together from word lists, nobody wrote them."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value

__all__ = ["STARS", "generate_reviews"]

STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
FREQUENCIES = (0.12, 0.10, 0.16, 0.27, 0.35)
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


def generate_reviews(num_train: int = 1600, num_validation: int = 400, num_test: int = 400, seed: int = 0) -> Dataset:
    """Gives short reviews in English of five classes of stars, put together by a grammar.

    A reviewer's opinion is the stars plus a normal deviate (`REVIEWER_NOISE`), and each clause praises or blames one
    thing by an opinion plus another (`CLAUSE_NOISE`), in words that neighbouring stars share, some of them negated. So
    no network gets all stars right, and mistakes are mostly by one. The stars are as unequal as `FREQUENCIES`. The same
    arguments give the same rows.

    Source: made for this library; no review of a person is in it.

    Args:
        num_train: Rows to train on.
        num_validation: Rows to choose by.
        num_test: Rows to test on.
        seed: Another seed gives other reviews.

    Returns:
        Rows with `text`, `label` (`ClassLabel`) and `split`.

    Raises:
        ValueError: A split has no row.
    """
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    if min(sizes.values()) < 1:
        raise ValueError(f"Each split needs at least one row, got {sizes}.")
    rng = np.random.default_rng((seed, 1))
    splits = [name for name, size in sizes.items() for _ in range(size)]
    labels = rng.choice(len(STARS), size=len(splits), p=FREQUENCIES).tolist()
    texts = [_review(rng, label + rng.normal(0, REVIEWER_NOISE)) for label in labels]
    kinds = {"text": Value("string"), "label": ClassLabel(names=list(STARS)), "split": Value("string")}
    return Dataset.from_dict({"text": texts, "label": labels, "split": splits}, features=Features(kinds))


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
