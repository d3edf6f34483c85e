"""Splits by fold and by person."""

import random
from collections import Counter, defaultdict

from datasets import Dataset


def fold_split(dataset: Dataset, fold: int) -> tuple[Dataset, Dataset]:
    """Gives the four other folds to train on and fold `fold` to test on (Levi and Hassner 2015).

    Args:
        dataset: Rows with a `fold` and a `user_id`.
        fold: The fold to test on.

    Returns:
        `(train, test)`, each in the order of `dataset`.

    Raises:
        ValueError: No row has this fold, all have it, or a user stands on both sides.
    """
    folds, users = list(dataset["fold"]), list(dataset["user_id"])
    present = sorted(set(folds))
    if fold not in present or len(present) < 2:
        raise ValueError(f"fold must be one of at least two folds of the dataset, got {fold!r}; it has {present}.")
    folds_of = defaultdict(set)
    for user, number in zip(users, folds, strict=True):
        folds_of[user].add(number)
    for user, numbers in folds_of.items():
        if fold in numbers and len(numbers) > 1:
            raise ValueError(
                f"A user must stand on one side of the split: user {user} is in folds {sorted(numbers)} and {fold} "
                "is the test fold. Give all rows of this user the same fold."
            )
    train = [i for i, number in enumerate(folds) if number != fold]
    return dataset.select(train), dataset.select([i for i, number in enumerate(folds) if number == fold])


def validation_split(train: Dataset, *, share: float = 0.1, seed: int) -> tuple[Dataset, Dataset]:
    """Cuts validation rows from the training folds by user: no person is on both sides.

    Users are taken in an order drawn from `seed`, each whose rows still fit into `share` of all rows.

    Args:
        train: Rows with a `user_id`.
        share: The largest part of the rows that goes to validation, between 0 and 1. Where every user has more rows
            than that, the user with the fewest goes there.
        seed: The same seed gives the same split.

    Returns:
        `(train, validation)`, each in the order of the rows given.

    Raises:
        ValueError: `share` is out of range, or there are fewer than two users.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share!r}.")
    users = list(train["user_id"])
    counts = Counter(users)
    if len(counts) < 2:
        raise ValueError(f"A split by user needs at least two users, got {len(counts)}.")
    order = sorted(counts)
    random.Random(seed).shuffle(order)
    chosen, room = set(), share * len(users)
    for user in order:
        if counts[user] <= room:
            chosen.add(user)
            room -= counts[user]
    chosen = chosen or {min(order, key=counts.__getitem__)}
    rest = [i for i, user in enumerate(users) if user not in chosen]
    return train.select(rest), train.select([i for i, user in enumerate(users) if user in chosen])
