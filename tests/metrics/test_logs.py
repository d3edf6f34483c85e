"""Metrics by epoch, worked by hand."""

from squared_emd.metrics.logs import epoch_to_reach, points


def entries(metric, *values):
    return [{"epoch": float(epoch), metric: value} for epoch, value in enumerate(values, 1)]


class TestPoints:
    def test_a_closing_evaluation_does_not_count(self):
        assert points([*entries("eval_aem", 0.25, 0.5), {"epoch": 2.0, "eval_aem": 1.0}], "eval_aem") == {
            1: 0.25,
            2: 0.5,
        }

    def test_entries_without_the_metric_or_the_epoch_are_passed_over(self):
        history = [{"epoch": 1.0, "loss": 2.0}, {"eval_aem": 1.0}, {"epoch": 1.0, "eval_aem": None}]
        assert points(history, "eval_aem") == {}


class TestEpochToReach:
    def test_first_epoch_at_which_more_is_reached(self):
        history = entries("eval_aem", 0.5, 0.75, 0.5, 0.875)
        assert epoch_to_reach(history, "eval_aem", 0.75) == 2
        assert epoch_to_reach(history, "eval_aem", 0.8) == 4
        assert epoch_to_reach(history, "eval_aem", 0.9) is None

    def test_less_is_better_for_errors(self):
        history = entries("eval_top_1_error", 0.5, 0.375, 0.25)
        assert epoch_to_reach(history, "eval_top_1_error", 0.375) == 2
        assert epoch_to_reach(history, "eval_top_1_error", 0.125) is None

    def test_the_last_digit_of_a_mean_does_not_decide(self):
        assert 0.1 + 0.2 > 0.3
        assert epoch_to_reach(entries("eval_aem", 0.3), "eval_aem", 0.1 + 0.2) == 1
        assert epoch_to_reach(entries("eval_mae", 0.1 + 0.2), "eval_mae", 0.3) == 1
