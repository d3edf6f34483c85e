"""D by epoch, as a strip and as an animation, of arrays and of what runs leave behind."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from tests.plot.matrices import AGES, NAN, of_line, refused
from tests.reports.images import assert_good_png
from transformers import PretrainedConfig

from squared_emd import plot
from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.plot import histories

MATRICES = np.linspace(0.5, 1, 4)[:, None, None] * of_line(4)
LOG = [{"epoch": float(epoch), "sdd": 0.1 * epoch, "sdd_relative": 0.2} for epoch in (1, 2, 3, 4)]


def maps(figure):
    return [axes for axes in figure.axes if axes.images]


def lines(figure):
    return [axes for axes in figure.axes if axes.lines]


def write_run(folder, *, matrices=MATRICES, log=LOG):
    folder.mkdir(parents=True, exist_ok=True)
    if matrices is not None:
        epochs = np.arange(1.0, len(matrices) + 1)
        np.savez_compressed(folder / "ground_distance_history.npz", epochs=epochs, ground_distance=matrices)
    if log is not None:
        (folder / "trainer_state.json").write_text(json.dumps({"epoch": 4.0, "log_history": log}))
    (folder / "all_results.json").write_text(json.dumps({"class_names": AGES}))
    return folder


class TestArrays:
    def test_epochs_are_counted_from_one(self):
        figure = plot.history(torch.tensor(MATRICES), class_names=AGES, title="D")
        assert [axes.get_title() for axes in maps(figure)] == [f"epoch {k}" for k in (1, 2, 3, 4)]
        np.testing.assert_allclose(maps(figure)[1].images[0].get_array(), MATRICES[1])
        assert [label.get_text() for label in maps(figure)[0].get_yticklabels()] == AGES
        assert not lines(figure)

    def test_with_a_log(self):
        sdd, relative = lines(plot.history(MATRICES, log=LOG))
        assert sdd.lines[0].get_ydata().tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
        assert relative.get_title() == "SDD / mean distance"

    def test_six_epochs_from_the_first_to_the_last_on_one_scale(self):
        epochs, shares = np.arange(1.0, 31), np.linspace(0.5, 1, 30)[:, None, None]
        log = [{"epoch": epoch, "sdd": 0.25, "sdd_relative": 0.5 + epoch} for epoch in epochs]
        figure = plot.history(shares * of_line(4), log=log)
        # 0, 5.8, 11.6, 17.4, 23.2 and 29, rounded, are counted from 1
        assert [axes.get_title() for axes in maps(figure)] == [f"epoch {epoch}" for epoch in (1, 7, 13, 18, 24, 30)]
        assert {axes.images[0].get_clim() for axes in maps(figure)} == {(0, 0.75)}
        line, dots = lines(figure)[1].lines
        assert (list(line.get_ydata()), list(dots.get_xdata())) == (list(0.5 + epochs), [1, 7, 13, 18, 24, 30])

    def test_sdd_alone(self):
        sdd, _ = plot.history([], log=LOG, class_names=AGES).axes
        assert (list(sdd.lines[0].get_ydata()), sdd.get_xlabel()) == ([entry["sdd"] for entry in LOG], "epoch")
        refused(
            plot.history,
            "source must hold (E, K, K) numbers, one matrix an epoch; got shape (0,). Use heat_map for one matrix.",
            [],
        )

    def test_seriation_of_the_last_matrix_orders_all(self):
        places = [2, 0, 3, 1]
        shuffled = MATRICES[:, places][:, :, places]
        figure = plot.history(shuffled, order="seriation", class_names=[AGES[k] for k in places])
        names = [label.get_text() for label in maps(figure)[0].get_yticklabels()]
        assert names in (AGES, AGES[::-1])
        np.testing.assert_allclose([axes.images[0].get_array() for axes in maps(figure)], MATRICES)

    def test_errors(self):
        message = (
            "source must hold (E, K, K) numbers, one matrix an epoch; got shape (4, 4). Use heat_map for one matrix."
        )
        refused(plot.history, message, of_line(4))
        message = "epochs must hold one number for each of the 4 matrices, in order; got [1.0, 2.0, 2.0, 3.0]."
        refused(plot.history, message, MATRICES, epochs=[1, 2, 2, 3])
        message = "seconds must be at least 0.02, which is as fast as players of GIF go, got 0.001."
        refused(plot.history, message, MATRICES, seconds=0.001, path="d.gif")


class TestAnimation:
    def test_a_frame_an_epoch_on_one_scale(self, tmp_path):
        figure = plot.history(MATRICES, epochs=[1, 2, 5, 9], title="D", path=tmp_path / "d.gif", seconds=0.2)
        assert figure.axes[0].get_title() == "D, epoch 9"
        assert figure.axes[0].images[0].get_clim() == (0, MATRICES.max())
        with Image.open(tmp_path / "d.gif") as animation:
            assert animation.info["loop"] == 0
            frames = [(frame.info["duration"], frame.convert("RGB")) for frame in ImageSequence.Iterator(animation)]
        assert [duration for duration, _ in frames] == [200, 200, 200, 600]
        pixels = np.array([np.asarray(frame) for _, frame in frames], dtype=float)
        assert (pixels[:, :5, :5] == 255).all()  # the ground is white
        # the farthest pair is the cell in the corner above on the right: it darkens from epoch to epoch
        box = figure.axes[0].get_window_extent()
        row, column = pixels.shape[1] - int(box.y1) + 12, int(box.x1) - 12
        assert (np.diff(pixels[:, row, column].mean(axis=-1)) < 0).all()

    def test_long_runs_have_some_frames(self, tmp_path, monkeypatch):
        monkeypatch.setattr(histories, "_MAX_FRAMES", 5)
        matrices = np.linspace(0.1, 1, 11)[:, None, None] * np.array([[0, 1], [1, 0]])
        figure = plot.history(matrices, path=tmp_path / "d.gif")
        with Image.open(tmp_path / "d.gif") as animation:
            assert animation.n_frames == 5
        assert figure.axes[0].get_title() == "epoch 11"

    def test_nan_in_an_early_epoch_leaves_no_file(self, tmp_path):
        matrices = MATRICES.copy()
        matrices[0, 0, 1] = np.nan
        refused(plot.history, NAN, matrices, path=tmp_path / "d.gif")
        assert not list(tmp_path.iterdir())

    def test_needs_matrices(self, tmp_path):
        folder = write_run(tmp_path, matrices=None)
        message = f"an animation needs D by epoch, and {folder} has only SDD. Give a path that ends in .png."
        refused(plot.history, message, folder, path=tmp_path / "d.gif")


class TestRuns:
    def test_a_folder_and_its_file(self, tmp_path):
        folder = write_run(tmp_path / "run")
        for source in (folder, str(folder / "ground_distance_history.npz")):
            figure = plot.history(source, path=tmp_path / "d.png")
            assert len(maps(figure)) == 4
            assert len(lines(figure)) == 2
            assert [label.get_text() for label in maps(figure)[0].get_yticklabels()] == AGES
        assert_good_png(tmp_path / "d.png")

    def test_sdd_alone_where_d_was_not_kept(self, tmp_path):
        figure = plot.history(write_run(tmp_path, matrices=None))
        assert (len(maps(figure)), len(lines(figure))) == (0, 2)

    def test_checkpoints(self, tmp_path):
        for epoch, matrix in enumerate(MATRICES[:2], start=1):
            folder = tmp_path / f"checkpoint-{epoch * 9}"
            config = PretrainedConfig(id2label=dict(enumerate(AGES)))
            folder.mkdir()
            write_ground_distance(torch.tensor(matrix), folder, config, {"loss": "xemd2"})
            config.save_pretrained(folder)
            (folder / "trainer_state.json").write_text(json.dumps({"epoch": 1.5 * epoch, "log_history": LOG[:epoch]}))
        figure = plot.history(tmp_path)
        assert [axes.get_title() for axes in maps(figure)] == ["epoch 1.5", "epoch 3"]
        np.testing.assert_allclose(maps(figure)[0].images[0].get_array(), MATRICES[0], atol=1e-6)
        assert len(lines(figure)[0].lines[0].get_xdata()) == 2

    def test_nothing_there(self, tmp_path):
        message = (
            f"{tmp_path} must be the folder of a run that learned D, with its ground_distance_history.npz, with "
            "checkpoints or with SDD in its trainer_state.json; there is none of them. Name the folder of one run."
        )
        refused(plot.history, message, tmp_path)
        nowhere = tmp_path / "none"
        message = (
            f"source must name the folder of a run or its ground_distance_history.npz; there is neither at {nowhere}."
        )
        refused(plot.history, message, nowhere, error=FileNotFoundError)
