"""D as a run left it."""

import re

import numpy as np
import pytest
from tests.reports.run_folders import line_distances, write_run

from squared_emd.reports.distances import mean_ground_distance, read_ground_distance, read_history
from squared_emd.reports.records import read_runs


def only_run(folder):
    (run,) = read_runs([folder])
    return run


def refused(function, run, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(run)


class TestReadGroundDistance:
    @pytest.mark.parametrize("in_file", [False, True])
    def test_from_the_config_or_the_file_that_it_names(self, tmp_path, in_file):
        write_run(tmp_path / "run", ground_distance=line_distances(3), in_file=in_file)
        np.testing.assert_array_equal(read_ground_distance(only_run(tmp_path)), line_distances(3))

    def test_none_where_there_is_none(self, tmp_path):
        folder = write_run(tmp_path / "run")
        run = only_run(tmp_path)
        assert read_ground_distance(run) is None
        (folder / "config.json").write_text('{"hidden_size": 8}')
        assert read_ground_distance(run) is None

    def test_the_mean_of_those_that_have_one(self, tmp_path):
        write_run(tmp_path / "a", ground_distance=line_distances(3))
        write_run(tmp_path / "b", seed=1, ground_distance=3 * line_distances(3))
        write_run(tmp_path / "c", seed=2)
        runs = read_runs([tmp_path])
        matrix, count = mean_ground_distance(runs)
        np.testing.assert_allclose(matrix, 2 * line_distances(3))
        assert count == 2
        assert mean_ground_distance(runs[2:]) == (None, 0)

    def test_another_number_of_classes(self, tmp_path):
        folder = write_run(tmp_path / "run", ground_distance=line_distances(4))
        refused(
            read_ground_distance,
            only_run(tmp_path),
            f"{folder / 'config.json'}: 'ground_distance' must be 3 by 3, as the run has 3 classes; got shape (4, 4); "
            "train the run again",
        )

    def test_infinite(self, tmp_path):
        folder = write_run(tmp_path / "run", ground_distance=np.full((3, 3), np.inf), in_file=True)
        refused(
            read_ground_distance,
            only_run(tmp_path),
            f"{folder / 'ground_distance.safetensors'}: 'ground_distance' must be finite; got NaN or infinity; train "
            "the run again",
        )

    def test_the_file_is_not_there(self, tmp_path):
        folder = write_run(tmp_path / "run", ground_distance=line_distances(3), in_file=True)
        path = folder / "ground_distance.safetensors"
        path.unlink()
        with pytest.raises(ValueError, match=re.escape(f"{path} must hold D under 'ground_distance'; reading it gave")):
            read_ground_distance(only_run(tmp_path))


class TestReadHistory:
    def test_epochs_and_matrices(self, tmp_path):
        matrices = np.stack([line_distances(3), 0.5 * line_distances(3)]).astype(np.float32)
        write_run(tmp_path / "run", history=([1.0, 2.0], matrices))
        epochs, read = read_history(only_run(tmp_path))
        assert epochs.tolist() == [1, 2]
        np.testing.assert_array_equal(read, matrices.astype(np.float64))

    def test_none_where_there_is_none(self, tmp_path):
        write_run(tmp_path / "run")
        assert read_history(only_run(tmp_path)) is None

    def test_epochs_that_do_not_fit(self, tmp_path):
        folder = write_run(tmp_path / "run", history=([2.0, 1.0], np.zeros((2, 3, 3))))
        refused(
            read_history,
            only_run(tmp_path),
            f"{folder / 'ground_distance_history.npz'} must hold one epoch a matrix, in order; got [2.0, 1.0] for 2 "
            "matrices; train the run again",
        )

    def test_cut_off(self, tmp_path):
        path = write_run(tmp_path / "run", history=([1.0], np.zeros((1, 3, 3)))) / "ground_distance_history.npz"
        path.write_bytes(path.read_bytes()[:100])
        refused(
            read_history,
            only_run(tmp_path),
            f"{path} must hold the arrays 'epochs' and 'ground_distance'; reading it gave: "
            "BadZipFile('File is not a zip file'); train the run again",
        )
