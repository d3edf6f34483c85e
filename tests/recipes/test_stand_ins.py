"""Recipes without any data: on the drawn sets with an order, D bands along it."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "epochs"), [("adience", "12"), ("images_of_groups", "14"), ("aadb", "5")])
def test_ground_distance_bands_along_the_order(recipe, epochs, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ("--num_train_epochs", epochs, "--eval_strategy", "no", "--dataloader_num_workers", "0")
    options += ("--output_dir", str(tmp_path / "out"), "--use_cpu", "True")
    monkeypatch.setattr(sys, "argv", [str(RECIPES / f"{recipe}.py"), *options])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    folder = tmp_path / "out" / "small" / "xemd2" / "fold_0" / "seed_42"
    matrix = np.array(json.loads((folder / "config.json").read_text())["ground_distance"])
    one, other = np.triu_indices(len(matrix), 1)
    apart = np.abs(one - other)
    correlation = spearmanr(matrix[one, other], apart).statistic
    assert correlation > 0.6
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(matrix)) for _ in range(2000)]
    others = [spearmanr(matrix[np.ix_(order, order)][one, other], apart).statistic for order in orders]
    assert np.mean(np.array(others) >= correlation) < 0.01  # hardly any other order of the classes fits as well
    neighbours, far = matrix[one, other][apart == 1], matrix[one, other][apart >= len(matrix) // 2]
    assert neighbours.mean() < far.mean() / 2
