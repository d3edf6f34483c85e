"""The package without its extras: this file runs itself in a process that finds none of their packages."""

import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.machinery import PathFinder

ABSENT = {
    "evaluate", "gradio", "httpx", "matplotlib", "ot", "PIL", "scipy", "sklearn", "soundfile", "timm", "torchvision",
}  # fmt: skip
NEEDS = {  # what asks for an extra -> the extra
    "squared_emd.data": "recipes",
    "squared_emd.plot": "plot",
    "squared_emd.reports": "plot",
    "squared_emd.vision": "vision",
}


def test_without_extras(tmp_path):
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "everything works without the extras"


def hide_packages():
    """Makes `ABSENT` look as if it were not installed, to import statements and to `importlib.util.find_spec`."""
    find = PathFinder.find_spec

    def find_others(name, path=None, target=None):
        return None if name.partition(".")[0] in ABSENT else find(name, path, target)

    PathFinder.find_spec = staticmethod(find_others)


def compute_losses():
    import torch

    import squared_emd

    logits, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 1])
    tree = squared_emd.LabelTree.from_nested({"food": ["apple", "bread"], "tool": ["saw"]})
    distance = squared_emd.ground_distance_from_positions(torch.arange(3.0))
    for loss in (
        squared_emd.squared_emd_loss(logits, labels),
        squared_emd.circular_emd_loss(logits, labels),
        squared_emd.tree_emd_loss(logits, labels, tree),
        squared_emd.exact_emd_loss(logits, labels, distance),
        squared_emd.self_guided_loss(logits, labels, distance, weight=1.0, omega=2.0, mu=-0.25),
        squared_emd.entropic_wasserstein_loss(logits, labels, distance, strength=10.0),
    ):
        loss.backward()
        assert torch.isfinite(logits.grad).all()


def compute_metrics():
    import numpy as np

    from squared_emd import metrics

    probabilities, labels = np.full((4, 3), 1 / 3), np.array([0, 1, 2, 1])
    predicted = np.array([0, 2, 2, 1])
    for result in (
        metrics.within(predicted, labels, tolerance=1),
        metrics.mean_absolute_error(predicted, labels),
        metrics.macro_mean_absolute_error(predicted, labels),
        [*metrics.accuracy_per_class(predicted, labels).values()],
        metrics.confusion_matrix(predicted, labels, num_classes=3),
        metrics.weighted_kappa(predicted, labels),
        metrics.squared_emd(probabilities, labels),
        metrics.ranked_probability_score(0.5, 3),
        metrics.exact_emd(probabilities, labels, 1 - np.eye(3)),
        metrics.top_k_error(metrics.ranks_of_truth(probabilities, labels), 1),
        metrics.correlation(predicted, labels),
        metrics.correlation(predicted, labels, kind="pearson"),
    ):
        assert np.isfinite(result).all()


def train_on_texts():
    from transformers import BertConfig, BertForSequenceClassification

    from squared_emd import EMDTrainer, EMDTrainingArguments, load_ground_distance, ordinal_metrics

    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=3
    )
    rows = [{"input_ids": [1, 2 + k], "labels": k % 3} for k in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = EMDTrainingArguments(
            folder, per_device_train_batch_size=6, num_train_epochs=1, report_to="none", use_cpu=True,
        )  # fmt: skip
        model = BertForSequenceClassification(config)
        trainer = EMDTrainer(model, arguments, train_dataset=rows, eval_dataset=rows, compute_metrics=ordinal_metrics())
        assert trainer.train().global_step == 2
        assert 0 <= trainer.evaluate()["eval_aem"] <= 1
        trainer.save_model()
        assert load_ground_distance(folder).shape == (3, 3)


def check_errors():
    import numpy as np

    import squared_emd
    from squared_emd import metrics

    def fail(needed):
        raise AssertionError(f"{needed} did not ask for its extra")

    for module, extra in NEEDS.items():
        try:
            import_module(module)
        except ImportError as error:
            assert f'pip install "squared-emd[{extra}]"' in str(error), error
        else:
            fail(module)
    halves, distance = np.full((2, 2), 0.5), 1 - np.eye(2)
    for call in (
        lambda: squared_emd.load_metric("ordinal_accuracy"),
        lambda: metrics.exact_emd(halves, halves, distance),
        lambda: metrics.correlation(np.arange(3), np.arange(3), kind="kendall"),
    ):
        try:
            call()
        except ImportError as error:
            assert 'pip install "squared-emd[metrics]"' in str(error), error
        else:
            fail(call)


def main():
    hide_packages()
    import squared_emd

    for name in squared_emd.__all__:
        assert getattr(squared_emd, name).__name__ == name
    problems = []
    for check in (compute_losses, compute_metrics, train_on_texts, check_errors):
        try:
            check()
        except Exception:
            import traceback

            problems.append(traceback.format_exc())
    if problems:
        sys.exit("\n".join(problems))
    print("everything works without the extras")


if __name__ == "__main__":
    main()
