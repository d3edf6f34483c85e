"""Losses compared from what their runs predicted: by hand, and what cannot be compared."""

import json

import numpy as np
import pytest
from scipy import stats
from tests.reports.run_folders import write_run

from squared_emd.__main__ import main
from squared_emd.metrics import expected_calibration_error
from squared_emd.metrics.comparison import Difference
from squared_emd.reports import write_report
from squared_emd.reports.predictions import Predictions, read_predictions, write_predictions
from squared_emd.reports.verdict import CHOSEN, Comparison, compare_folders

K, N = 3, 150
LABELS = np.arange(N) % K
LINE = abs(np.subtract.outer(np.arange(K), np.arange(K)))


def distributions(seed, sharpness=1.0):
    """Probabilities that lean to the true class."""
    logits = np.random.default_rng(seed).normal(size=(N, K)) + sharpness * np.eye(K)[LABELS]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def write_tested_run(folder, probabilities, *, validation=None, labels=LABELS, **results):
    names = {"ids", "groups"} & results.keys()
    extra = {name: np.asarray(results.pop(name)) for name in names}
    write_run(folder, **results)
    parts = {"test": Predictions(np.asarray(probabilities), labels, **extra)}
    if validation is not None:
        parts["validation"] = Predictions(validation, labels)
    write_predictions(folder, parts)


def write_seeds(folder, seeds=(0, 1), drawn_with=0, sharpness=1.0, **fields):
    """A run for each seed."""
    for seed in seeds:
        write_tested_run(folder / str(seed), distributions(drawn_with + seed, sharpness), seed=seed, **fields)


def write_two_losses(folder, **fields):
    """xemd is sharper than xe in every seed."""
    for loss, sharpness in (("xe", 1.0), ("xemd", 3.0)):
        write_seeds(folder / loss, range(3), 0, sharpness, loss=loss, **fields)


def interval(differences):
    """By the equation of `paired_difference`, in the other order."""
    num_seeds, num_samples = differences.shape
    table = differences - differences.mean()
    leftover = table - table.mean(1, keepdims=True) - table.mean(0)
    per_entry = (leftover**2).sum() / (num_seeds - 1) / (num_samples - 1) / num_seeds / num_samples
    of_seeds = stats.t.ppf(0.975, num_seeds - 1) ** 2 * stats.sem(differences.mean(1)) ** 2
    of_samples = stats.t.ppf(0.975, num_samples - 1) ** 2 * max(stats.sem(differences.mean(0)) ** 2 - per_entry, 0)
    half = (of_seeds + of_samples) ** 0.5
    return differences.mean() - half, differences.mean() + half


def refused(*folders, **options):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        compare_folders(folders, **options)
    return str(error.value)


def test_a_report_ends_with_the_verdict_and_writes_it(tmp_path):
    write_two_losses(tmp_path)
    text = write_report([tmp_path])
    (found,) = json.loads((tmp_path / "verdict.json").read_text())
    assert (found["name"], found["baseline"], found["seeds"], found["num_samples"]) == ("XEMD", "XE", [0, 1, 2], N)
    off = {
        sharpness: np.stack([abs(distributions(seed, sharpness).argmax(1) - LABELS) for seed in range(3)])
        for sharpness in (1.0, 3.0)
    }
    mae = found["differences"]["argmax"]["eval_mae"]
    assert (mae["baseline"], mae["value"]) == pytest.approx((off[1.0].mean(), off[3.0].mean()))
    assert (mae["low"], mae["high"]) == pytest.approx(interval(off[3.0] - off[1.0]))
    assert mae["verdict"] == "better"
    ece = found["differences"]["probabilities"]["eval_ece"]
    expected = np.mean([expected_calibration_error(distributions(seed, 3.0), LABELS) for seed in range(3)])
    assert ece["value"] == pytest.approx(expected)
    aem = np.mean(off[1.0] == 0)
    assert found["decisions"]["XE"]["argmax"]["eval_aem"] == pytest.approx(aem)
    assert found["decisions"]["XE"].keys() == {"argmax", "median", "expected"}  # it has no D
    percent, (low, high) = 100 / off[1.0].mean(), interval(off[3.0] - off[1.0])
    assert found["sentence"].startswith(
        "XEMD against XE on 150 test samples, too few to show small differences, 3 seeds: "
        f"MAE {off[3.0].mean():.3f} instead of {off[1.0].mean():.3f} "
        f"({percent * mae['difference']:+.1f} %, 95 % interval {percent * low:.1f} to {percent * high:.1f}): better; "
    )
    assert " ".join(text.split()).endswith(found["sentence"])
    assert f"XE, likeliest class {100 * aem:.1f}" in " ".join(text.split())
    assert "### Does it help?" in (tmp_path / "report.md").read_text()


def test_unclear_metrics_are_named_and_one_seed_decides_nothing(tmp_path):
    for n, name in enumerate(("a", "b")):
        write_seeds(tmp_path / name, range(3), 20 * n)
    (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    assert found.sentence().endswith(": no clear difference. No clear difference in EMD2, AEM, AEO, NLL and ECE.")
    (found,) = compare_folders([tmp_path / "a/0", tmp_path / "b/0"])
    assert found.differences["argmax"]["eval_mae"].low is None
    assert (
        "150 test samples, too few to show small differences, one seed, which decides nothing: MAE" in found.sentence()
    )


@pytest.mark.parametrize(
    ("metric", "found", "verdict", "phrase"),
    [
        ("eval_nll", (2.1972, 2.1971, -2e-4, -1e-5), "no clear difference",
         "NLL 2.197 instead of 2.197 (0.0 %, 95 % interval 0.0 to 0.0)"),
        ("eval_nll", (2.1976, 2.1974, -3e-4, -1e-4), "better",
         "NLL 2.197 instead of 2.198 (0.0 %, 95 % interval 0.0 to 0.0)"),
        ("eval_nll", (0.0, -0.0, 0.0, 0.0), "no clear difference",
         "NLL 0.000 instead of 0.000 (0.0, 95 % interval 0.0 to 0.0)"),
        ("eval_mae", (0.5, 0.501, 5e-4, 15e-4), "worse",
         "MAE 0.501 instead of 0.500 (+0.2 %, 95 % interval 0.1 to 0.3)"),
        ("eval_aem", (0.4001, 0.4004, 1e-4, 5e-4), "no clear difference",  # as percent has it: 40.01 and 40.04
         "AEM 40.0 instead of 40.0 (0.0 points, 95 % interval 0.0 to 0.1)"),
        ("eval_aem", (0.4004, 0.4006, 1e-4, 3e-4), "better",
         "AEM 40.1 instead of 40.0 (0.0 points, 95 % interval 0.0 to 0.0)"),
        ("eval_nll", (2.1972, 2.1971, None, None), "one seed", "NLL 2.197 instead of 2.197 (0.0 %)"),
    ],
)  # fmt: skip
def test_a_difference_that_the_digits_do_not_show(metric, found, verdict, phrase):
    """It is not clear, whatever its interval; the numbers stay."""
    difference = Difference(*found)
    compared = {"argmax": {metric: difference}, "probabilities": {}}
    comparison = Comparison("mine", "theirs", [0, 1], 300, None, compared, {}, {}, [])
    ending = "" if verdict == "one seed" else f": {verdict}"
    assert comparison.sentence() == f"mine against theirs on 300 test samples, 2 seeds: {phrase}{ending}."
    written = comparison.as_dict()["differences"]["argmax"][metric]
    assert written == vars(difference) | {"difference": found[1] - found[0], "verdict": verdict}


def test_the_rule_is_chosen_on_validation_data(tmp_path, monkeypatch, capsys):
    """Each for itself: the median for one that puts more than half of its mass above the likeliest class."""
    shy = np.tile([0.4, 0.25, 0.35], (N, 1))
    for seed in range(2):
        write_tested_run(tmp_path / "a" / str(seed), distributions(seed), validation=distributions(seed), seed=seed)
        write_tested_run(tmp_path / "b" / str(seed), shy, validation=shy, seed=seed)
    (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    off = abs(1 - LABELS).mean()  # of the median; that of class 0 is 1
    assert found.chosen_rules[str(tmp_path / "b")] == "median"
    assert found.differences[CHOSEN]["eval_mae"].value == pytest.approx(off)
    monkeypatch.chdir(tmp_path)
    main(["compare", "a", "b", "--metric", "aem", "--output", "v.json"])
    printed = " ".join(capsys.readouterr().out.split())
    (written,) = json.loads((tmp_path / "v.json").read_text())
    assert printed.endswith(written["sentence"])
    assert "EMD2: Squared EMD; NLL: Negative log-likelihood" in printed


def test_a_certain_classifier_is_no_regression(tmp_path):
    certain = np.eye(K)[LABELS]
    for name, extra in (("a", {}), ("b", {}), ("line", {"is_of_regression": True})):
        write_run(tmp_path / name)
        write_predictions(tmp_path / name, {"test": Predictions(certain, LABELS, **extra)})
    (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    assert found.differences["probabilities"]["eval_nll"].value == 0
    (found,) = compare_folders([tmp_path / "a", tmp_path / "line"])
    assert found.differences["probabilities"].keys() == {"eval_squared_emd"}


def test_folds_are_joined_and_groups_kept_together(tmp_path):
    for name, sharpness in (("a", 1.0), ("b", 2.0)):
        for fold in range(2):
            people = [f"{fold}-{n // 3}" for n in range(N)]
            write_seeds(tmp_path / name / str(fold), (0, 1), 10 * fold, sharpness, fold=fold, groups=people)
    (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    assert (found.num_samples, found.num_groups, list(found.seeds)) == (2 * N, 2 * N // 3, [0, 1])
    assert "on 300 test samples of 100 groups, 2 seeds: MAE" in found.sentence()


def test_groups_of_either_side_count(tmp_path):
    people = [f"{n // 3}" for n in range(N)]
    write_seeds(tmp_path / "a")
    write_seeds(tmp_path / "b", drawn_with=9, groups=people)
    write_seeds(tmp_path / "c", drawn_with=5, groups=people[::-1])
    one, other = (compare_folders([tmp_path / name for name in names])[0] for names in ("ab", "ba"))
    assert one.num_groups == other.num_groups == N // 3
    low, high = (getattr(one.differences["argmax"]["eval_mae"], end) for end in ("low", "high"))
    assert (low, high) == pytest.approx(
        tuple(-getattr(other.differences["argmax"]["eval_mae"], end) for end in ("high", "low"))
    )
    assert refused(tmp_path / "b", tmp_path / "c") == (
        f"runs that are compared must have the same groups of samples, or none; those of {tmp_path}/b/0 and "
        f"{tmp_path}/c/0 differ."
    )


def test_groups_of_one_fold_only(tmp_path):
    for name in ("a", "b"):
        for fold, fields in ((0, {"groups": range(N)}), (1, {})):
            write_tested_run(tmp_path / name / str(fold), distributions(fold), fold=fold, **fields)
    assert refused(tmp_path / "a", tmp_path / "b") == (
        "either the samples of all folds must have groups, or of none; those of the folds [1] have none; write their "
        "predictions again, with groups."
    )


def test_a_report_of_losses_without_a_common_fold(tmp_path):
    for loss, fold in (("xe", 0), ("xemd", 1)):
        write_tested_run(tmp_path / loss, distributions(0), loss=loss, fold=fold)
    assert "Does it help?" not in write_report([tmp_path])


def test_runs_without_a_counterpart_are_named(tmp_path):
    write_seeds(tmp_path / "a", (1, 2, 3))
    write_seeds(tmp_path / "b", (2, 3, 4))
    (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    assert list(found.seeds) == [2, 3]
    assert found.sentence().endswith(
        f" Left out, as the other has none: {tmp_path}/b, seed 4, fold 0; {tmp_path}/a, seed 1, fold 0."
    )


@pytest.mark.parametrize("results", [None, '{"seed": null}', "{}"])
def test_seeds_are_named_by_all_runs_or_none(tmp_path, results):
    write_seeds(tmp_path / "a", (1, 2))
    write_seeds(tmp_path / "b", (1, 2))
    for name, others in (("b", False), ("a", True)):  # of one side, and then of both
        for seed in (1, 2):
            path = tmp_path / name / str(seed) / "all_results.json"
            path.unlink() if results is None else path.write_text(results)
        if others:
            (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
            assert (list(found.seeds), found.left_out) == ([0, 1], [])
        else:
            assert refused(tmp_path / "a", tmp_path / "b") == (
                "either all runs that are compared must have a 'seed' in their all_results.json, or none; got one for "
                f"{tmp_path}/a/2, none for {tmp_path}/b/2; write it there."
            )


@pytest.mark.parametrize("name", ["all_results.json", "config.json"])
def test_a_file_that_holds_a_list(tmp_path, name):
    write_tested_run(tmp_path / "a", distributions(0))
    (tmp_path / "a" / name).write_text("[1]")
    assert refused(tmp_path / "a", tmp_path) == f"{tmp_path}/a/{name} must hold a JSON object; got [1]; write it again"


@pytest.mark.parametrize("validates", [False, True])
def test_a_rule_that_one_run_lacks_is_left_out(tmp_path, validates):
    for name in ("a", "b"):
        for seed in range(3):
            matrix = None if (name, seed) == ("b", 1) else LINE
            validation = distributions(seed + 7) if validates else None
            fields = {"seed": seed, "ground_distance": matrix, "validation": validation}
            write_tested_run(tmp_path / name / str(seed), distributions(seed), **fields)
    (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    assert found.differences.keys() - {CHOSEN} == {"probabilities", "argmax", "median", "expected"}
    assert "min_distance" in found.decisions[str(tmp_path / "a")]
    assert "min_distance" not in found.decisions[str(tmp_path / "b")]


def test_the_least_expected_distance_needs_a_d(tmp_path):
    for name in ("a", "b"):
        for seed in range(2):
            write_tested_run(tmp_path / name / str(seed), distributions(seed), seed=seed, ground_distance=LINE)
    (found,) = compare_folders([tmp_path / "a", tmp_path / "b"])
    # On a line with equal gaps the least expected distance is at the median.
    decisions = found.decisions[str(tmp_path / "a")]
    assert decisions["min_distance"] == pytest.approx(decisions["median"])


OF_ORDER, OF_PROBABILITIES = {"eval_aem", "eval_aeo", "eval_mae"}, {"eval_nll", "eval_ece"}
BY_ORDER = dict.fromkeys(("argmax", "median", "expected"), OF_ORDER)
BY_ORDER |= {"probabilities": OF_PROBABILITIES | {"eval_squared_emd"}}
WITHOUT_ORDER = {"eval_aem": None, "eval_aeo": None, "eval_top_1_error": 0.5}
BY_ERRORS = {"argmax": {"eval_top_1_error"}, "probabilities": OF_PROBABILITIES}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"table": "own_data"}, BY_ORDER),
        ({"table": "own_data"} | WITHOUT_ORDER, BY_ERRORS),
        ({"table": "imagenet"} | WITHOUT_ORDER, BY_ERRORS),
    ],
)
def test_classes_are_compared_by_their_order_where_they_have_one(tmp_path, fields, expected):
    write_two_losses(tmp_path, folds=1, **fields)
    write_report([tmp_path])
    (reported,) = json.loads((tmp_path / "verdict.json").read_text())
    (of_folders,) = compare_folders([tmp_path / "xe", tmp_path / "xemd"])
    for differences in (reported["differences"], of_folders.differences):
        assert {rule: of.keys() for rule, of in differences.items()} == expected


def test_what_cannot_be_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_seeds(tmp_path / "a")
    write_seeds(tmp_path / "other labels", labels=LABELS[::-1])
    write_seeds(tmp_path / "other ids", ids=np.arange(N))
    for number in range(2):
        write_tested_run(tmp_path / "other seeds" / str(number), distributions(0), seed=7)
    write_run(tmp_path / "none")
    assert refused("a") == "a comparison needs at least two folders, the baseline first; got 1."
    assert refused("a", "none/../a") == (
        "the folders that are compared must differ; got a and none/../a, which are the same; leave one out."
    )
    assert refused("a", "other labels", metric="mae") == (
        "metric, by which the decision rule is chosen, must be one of eval_mae, eval_aem, eval_aeo, eval_top_1_error; "
        "got 'mae'; give one of them."
    )
    assert refused("a", "missing") == "a folder with runs must exist; there is no folder missing; check its name."
    assert refused("a", "none").startswith("there must be a predictions.npz in or below none; got none.")
    assert refused("a", "other seeds") == (
        "other seeds must have one run of each seed and fold; got other seeds/0 and other seeds/1, both seed 7, fold "
        "0. Name the folders of one loss each."
    )
    for other in ("other labels", "other ids"):
        assert refused("a", other) == (
            f"runs that are compared must be tested on the same samples, in the same order; those of {other}/0 and "
            "a/0 differ."
        )
    assert refused("a", "other seeds/0") == (
        "other seeds/0 and a must have a seed and a fold in common; got the seeds [7] and [0, 1]."
    )


def test_predictions_come_back_and_a_damaged_file_is_named(tmp_path):
    probabilities = distributions(0).astype(np.float32)
    test = Predictions(probabilities, np.eye(K)[LABELS], np.array(["a.png"] * N), np.array(["x"] * N))
    write_predictions(tmp_path, {"test": test})
    back = read_predictions(tmp_path)
    for name, array in vars(test).items():
        np.testing.assert_array_equal(getattr(back, name), array)
    np.testing.assert_array_equal(back.true_classes, LABELS)
    assert read_predictions(tmp_path, "validation") is None
    assert read_predictions(tmp_path / "none") is None
    path = tmp_path / "predictions.npz"
    np.savez(path, test_labels=LABELS)
    with pytest.raises(ValueError, match="must hold test_probabilities and test_labels; got \\['labels'\\] of them"):
        read_predictions(tmp_path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"predictions\.npz must hold arrays as NumPy writes them; reading it gave"):
        read_predictions(tmp_path)
