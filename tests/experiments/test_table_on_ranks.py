"""A table of runs on two ranks: both see the same, one writes."""

import json

from tests.experiments.tiny import arguments, experiment, save_model
from tests.ranks import on_ranks

from squared_emd.experiments import run_table


def test_two_ranks(tmp_path):
    model = save_model(tmp_path / "model")
    on_ranks(2, _table, model, tmp_path / "out", tmp_path)
    first, second = (json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in range(2))
    for of_first, of_second in zip(first, second, strict=True):
        own = {"seconds_per_step", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}
        assert {k: v for k, v in of_first.items() if k not in own} == {
            k: v for k, v in of_second.items() if k not in own
        }
    assert [result["loss"] for result in first] == ["xemd2", "a-emd", "a-emd"]
    assert first[1] == first[2]  # the second command trained nothing
    assert (tmp_path / "out" / "report.md").is_file()


def _table(rank, model, output, home):
    fields = {"early_stopping_patience": 1, "ddp_backend": "gloo"}
    guided = run_table(arguments(output, loss="xemd2", **fields), experiment(model))
    choices = {"learning_rate": "0.1", "entropic_strength": "select"}
    entropic = run_table(arguments(output, loss="a-emd", **choices, **fields), experiment(model))
    again = run_table(arguments(output, loss="a-emd", **choices, **fields), experiment(model))
    if rank:
        again = entropic  # read from the first rank's file
    (home / f"rank_{rank}.json").write_text(json.dumps(guided + entropic + again))
