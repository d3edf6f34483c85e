"""D by epoch, of arrays and of what runs leave behind."""

import json

import numpy as np
import pytest
import torch
from tests.plot.matrices import AGES, NAN, of_line, refused
from tests.reports.images import assert_good_png
from transformers import PretrainedConfig

from squared_emd import plot
from squared_emd.ground_distance.saved import write_ground_distance

MATRICES = np.linspace(0.5, 1, 4)[:, None, None] * of_line(4)
LOG = [{"epoch": float(epoch), "sdd": 0.1 * epoch, "sdd_relative": 0.2} for epoch in (1, 2, 3, 4)]


def maps(figure):
    return [axes for axes in figure.axes if axes.images]


def lines(figure):
    return [axes for axes in figure.axes if axes.lines]


class TestArrays:
    def test_epochs_are_counted_from_one(self):
        figure = plot.history(torch.tensor(MATRICES), class_names=AGES, title="D")
        assert [axes.get_title() for axes in maps(figure)] == [f"epoch {k}" for k in (1, 2, 3, 4)]
        np.testing.assert_allclose(maps(figure)[1].images[0].get_array(), MATRICES[1])
        assert [label.get_text() for label in maps(figure)[0].get_yticklabels()] == AGES
        assert not lines(figure)

    def test_six_epochs_from_the_first_to_the_last_on_one_scale(self):
        epochs, shares = np.arange(1.0, 31), np.linspace(0.5, 1, 30)[:, None, None]
        log = [{"epoch": epoch, "sdd": 0.25, "sdd_relative": 0.5 + epoch} for epoch in epochs]
        figure = plot.history(shares * of_line(4), log=log)
        # 0, 5.8, 11.6, 17.4, 23.2 and 29, rounded, are counted from 1
        assert [axes.get_title() for axes in maps(figure)] == [f"epoch {epoch}" for epoch in (1, 7, 13, 18, 24, 30)]
        assert {axes.images[0].get_clim() for axes in maps(figure)} == {(0, 0.75)}
        assert [axes.get_title() for axes in lines(figure)] == ["SDD", "SDD / mean distance"]
        line, dots = lines(figure)[1].lines
        assert (list(line.get_ydata()), list(dots.get_xdata())) == (list(0.5 + epochs), [1, 7, 13, 18, 24, 30])

    @pytest.mark.parametrize("order", ["classes", "seriation"])
    def test_sdd_alone(self, order):
        sdd, _ = plot.history([], log=LOG, class_names=AGES, order=order).axes
        assert (list(sdd.lines[0].get_ydata()), sdd.get_xlabel()) == ([entry["sdd"] for entry in LOG], "epoch")

    def test_seriation_of_the_last_matrix_orders_all(self):
        places = [2, 0, 3, 1]
        shuffled = MATRICES[:, places][:, :, places]
        figure = plot.history(shuffled, order="seriation", class_names=[AGES[k] for k in places])
        names = [label.get_text() for label in maps(figure)[0].get_yticklabels()]
        assert names in (AGES, AGES[::-1])
        np.testing.assert_allclose([axes.images[0].get_array() for axes in maps(figure)], MATRICES)

    @pytest.mark.parametrize(
        ("source", "options", "message"),
        [
            (MATRICES[0], {}, "source must hold (E, K, K) numbers, one matrix an epoch; got shape (4, 4). Use heat_map "
             "for one matrix."),
            ([], {}, "source must hold (E, K, K) numbers, one matrix an epoch; got shape (0,). Use heat_map for one "
             "matrix."),
            (MATRICES, {"epochs": [1, 2, 2, 3]}, "epochs must hold one number for each of the 4 matrices, in order; "
             "got [1.0, 2.0, 2.0, 3.0]."),
            (np.where(of_line(4) == 0.25, np.nan, MATRICES), {}, NAN),
        ],
    )  # fmt: skip
    def test_errors_leave_no_file(self, source, options, message, tmp_path):
        refused(plot.history, message, source, path=tmp_path / "d.png", **options)
        assert not list(tmp_path.iterdir())

    def test_an_animation(self, tmp_path):
        message = (
            f"path must name a still image, got {tmp_path / 'd.GIF'}. Give one that ends in .png; for an animation "
            "draw heat_map for each epoch."
        )
        refused(plot.history, message, MATRICES, path=tmp_path / "d.GIF")
        assert not list(tmp_path.iterdir())


def write_model(folder, matrix=MATRICES[-1], epoch=4.0, log=LOG):
    config = PretrainedConfig(id2label=dict(enumerate(AGES[: len(matrix)])))
    write_ground_distance(torch.tensor(matrix), folder, config, {"loss": "xemd2"})
    config.save_pretrained(folder)
    (folder / "trainer_state.json").write_text(json.dumps({"epoch": epoch, "log_history": log}))
    return folder


class TestRuns:
    def test_a_folder(self, tmp_path):
        folder = write_model(tmp_path / "run")
        history = folder / "ground_distance_history.npz"
        np.savez_compressed(history, epochs=np.arange(1.0, 5), ground_distance=MATRICES)
        figure = plot.history(str(folder), path=tmp_path / "d.png")
        assert (len(maps(figure)), len(lines(figure))) == (4, 2)
        assert [label.get_text() for label in maps(figure)[0].get_yticklabels()] == AGES
        assert_good_png(tmp_path / "d.png")
        history.unlink()
        figure = plot.history(folder)  # D was not kept
        assert (len(maps(figure)), len(lines(figure))) == (0, 2)

    def test_names_of_a_module_without_a_config(self, tmp_path):
        np.savez_compressed(tmp_path / "ground_distance_history.npz", epochs=[1.0], ground_distance=MATRICES[:1])
        (tmp_path / "all_results.json").write_text(json.dumps({"class_names": AGES}))
        assert [label.get_text() for label in maps(plot.history(tmp_path))[0].get_yticklabels()] == AGES

    def test_checkpoints(self, tmp_path):
        for epoch, matrix in enumerate(MATRICES[:2], start=1):
            write_model(tmp_path / f"checkpoint-{epoch * 9}", matrix, 1.5 * epoch, LOG[:epoch])
        PretrainedConfig().save_pretrained(tmp_path / "checkpoint-1")  # of the jump start: without a D
        figure = plot.history(tmp_path)
        assert [axes.get_title() for axes in maps(figure)] == ["epoch 1.5", "epoch 3"]
        np.testing.assert_allclose(maps(figure)[0].images[0].get_array(), MATRICES[0], atol=1e-6)
        assert [label.get_text() for label in maps(figure)[0].get_yticklabels()] == AGES
        assert len(lines(figure)[0].lines[0].get_xdata()) == 2
        write_model(tmp_path / "checkpoint-2", of_line(3), 0.5, [])
        message = (
            f"the checkpoints in {tmp_path} must be of one run; got ground distances of 3, 4, 4 classes. Take those of "
            "other runs away."
        )
        refused(plot.history, message, tmp_path)

    def test_nothing_there(self, tmp_path):
        message = (
            f"{tmp_path} must be the folder of a run that learned D, with its ground_distance_history.npz, with "
            "checkpoints or with SDD in its trainer_state.json; there is none of them. Name the folder of one run."
        )
        refused(plot.history, message, tmp_path)
        nowhere = tmp_path / "none"
        message = f"source must name the folder of a run; there is no folder {nowhere}."
        refused(plot.history, message, nowhere, error=FileNotFoundError)

    @pytest.mark.parametrize(
        ("epochs", "matrices", "got"),
        [
            ([1.0], MATRICES[:1, :2], "the epochs [1.0] and the shape (1, 2, 4) with 0"),
            ([1.0], MATRICES[:1] * np.nan, "the epochs [1.0] and the shape (1, 4, 4) with 16"),
            ([2.0, 1.0], MATRICES[:2], "the epochs [2.0, 1.0] and the shape (2, 4, 4) with 0"),
        ],
    )
    def test_a_history_that_is_wrong(self, tmp_path, epochs, matrices, got):
        path = tmp_path / "ground_distance_history.npz"
        np.savez_compressed(path, epochs=epochs, ground_distance=matrices)
        message = (
            f"{path} must hold epochs (E,) in order and ground_distance (E, 4, 4), finite; got {got} entries that are "
            "not finite; train the run again"
        )
        refused(plot.history, message, tmp_path)
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(ValueError, match="must hold the arrays 'epochs' and 'ground_distance'; reading it gave: "):
            plot.history(tmp_path)
