"""What stands in for texts, sounds and tables: the same each time, in an order that can be learned, but not wholly."""

import functools
from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import RidgeCV
from tests.errors import message_of

from squared_emd.data.synthetic.generated_data import (
    FREQUENCIES,
    GRADES,
    MISSING,
    SEVERITIES,
    STARS,
    generate_reviews,
    generate_sounds,
    generate_table,
)
from squared_emd.data.table_encoder import TableEncoder

SETS = {generate_reviews: STARS, generate_sounds: GRADES, generate_table: SEVERITIES}


@functools.cache
def many(make):
    return make(700, 1, 250)


def features_of(rows, make):
    if make is generate_reviews:
        return CountVectorizer(ngram_range=(1, 2), min_df=2).fit_transform(rows["text"]).toarray()
    if make is generate_sounds:
        waves = np.array(rows["audio"])  # (N, T)
        jumps = np.abs(np.diff(waves, axis=1))
        silent = (waves == 0).mean(1)
        loudest = (np.abs(waves) > 0.98 * np.abs(waves).max(1, keepdims=True)).mean(1)
        noise = np.log(np.median(np.abs(np.diff(waves, 4, axis=1)), axis=1))
        return np.stack([noise, np.log(jumps.max(1)), silent, loudest], axis=1)
    return np.array(TableEncoder(rows).encode(rows)["features"])


@pytest.mark.parametrize("make", SETS)
class TestGenerated:
    def test_the_same_each_time(self, make):
        one, again, other = make(20, 5, 5), make(20, 5, 5), make(20, 5, 5, seed=1)
        assert one[:] == again[:]
        assert one[:] != other[:]
        assert Counter(one["split"]) == {"train": 20, "validation": 5, "test": 5}

    def test_classes_in_order_and_as_frequent_as_said(self, make):
        names = SETS[make]
        rows = many(make)
        assert tuple(rows.features["label"].names) == names
        shares = np.bincount(rows["label"], minlength=len(names)) / len(rows)
        assert np.abs(shares - FREQUENCIES[names]).max() < 3 * np.sqrt(0.25 / len(rows))  # of a binomial at most

    def test_the_order_can_be_learned_but_not_wholly(self, make):
        """A linear regression in place of a network: often right, else mostly next to it."""
        rows = many(make)
        features, labels = features_of(rows, make), np.array(rows["label"])
        train, test = slice(0, 700), slice(701, None)
        line = RidgeCV(np.logspace(-2, 3, 6)).fit(features[train], labels[train])
        guessed = np.rint(line.predict(features[test])).clip(0, 4)
        off = np.abs(guessed - labels[test])
        constant = np.abs(np.median(labels[train]) - labels[test])
        assert off.mean() < 0.75 * constant.mean()
        assert (off <= 1).mean() > 0.8
        assert 0.2 < (off == 0).mean() < 0.8
        assert (off == 1).sum() > 3 * (off > 1).sum()  # mistakes are of neighbors

    def test_an_empty_split(self, make):
        assert message_of(ValueError, make, 5, 0, 5) == (
            "Each split needs at least one row, got {'train': 5, 'validation': 0, 'test': 5}."
        )


def test_sounds_are_half_seconds_within_range():
    waves = np.array(generate_sounds(30, 5, 5)["audio"])
    assert waves.shape == (40, 4000)
    assert np.abs(waves).max(1).min() > 0.1
    assert np.abs(waves).max() <= 1


def test_a_twelfth_of_what_is_measured_is_missing():
    rows = generate_table()
    for name in ("vibration", "temperature", "noise"):
        share = np.mean([value is None for value in rows[name]])
        assert abs(share - MISSING) < 3 * np.sqrt(0.08 * 0.92 / len(rows))
    missing = np.array([value is None for value in rows["particles"]])
    labels = np.array(rows["label"])
    assert missing[labels == 0].mean() > missing[labels >= 2].mean()  # not at random
    assert None not in rows["hours"] and None not in rows["material"]
