"""The losses outside `EMDTrainer`.

`compute_loss_func` in a stock Trainer: one step of it is that of one large batch, by autograd on the equations.
`SelfGuidance` in a loop of one's own gives the numbers of `EMDTrainer`, and goes on from its state.
"""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.training.tiny import K, Network, arguments, samples, tiny_vit
from transformers import Trainer, TrainingArguments

from squared_emd import EMDTrainer, HeadInput, LabelTree, SelfGuidance, compute_loss_func, load_ground_distance

DISTANCE = torch.tensor([[0.0, 1, 3, 4], [1, 0, 2, 3], [3, 2, 0, 1], [4, 3, 1, 0]])
MEAN_ONE = DISTANCE / DISTANCE.sum() * K * (K - 1)
COUNT = 8  # samples of the step, over ranks and accumulation steps
EPS = EQUAL = 1e-6


def change_of_one_step(folder, func, soft=False, accumulation=1, world_size=1):
    """What a step of plain gradient descent with a rate of 1 takes off the head's weights."""
    torch.manual_seed(0)
    network, data = Network(), samples(soft, count=COUNT)
    before = network.head.weight.detach().clone()
    args = arguments(
        folder, TrainingArguments, max_steps=1, learning_rate=1.0, max_grad_norm=0.0, lr_scheduler_type="constant",
        label_names=["labels"],
        per_device_train_batch_size=COUNT // accumulation // world_size, gradient_accumulation_steps=accumulation,
    )  # fmt: skip
    Trainer(network, args, train_dataset=data, compute_loss_func=func).train()
    return (before - network.head.weight.detach()).double().numpy()


def gradient_of_all(loss, soft=False):
    """Of the head's weights, of the mean over all samples, in float64."""
    torch.manual_seed(0)
    network, data = Network().double(), samples(soft, count=COUNT)
    logits = network(torch.stack([row["inputs"] for row in data]).double())["logits"]
    labels = torch.stack([row["labels"] for row in data]) if soft else torch.tensor([row["labels"] for row in data])
    target = labels.double() if soft else F.one_hot(labels, K).double()
    loss(logits.softmax(-1), target).mean().backward()
    return network.head.weight.grad.numpy()


def entropy(p, t, eps=EPS):
    return -(t * (p + eps).log()).sum(-1)


def energy(p, t):
    d = MEAN_ONE.double()
    return (p @ d * t).sum(-1) - (p @ d * p).sum(-1) / 2 - (t @ d * t).sum(-1) / 2


# loss -> what compute_loss_func is given, and the equation per sample
CASES = {
    "xe": ({}, lambda p, t: entropy(p, t, 0)),
    "emd": ({}, lambda p, t: (p - t).cumsum(-1).square().sum(-1)),
    "xemd": ({"ground_distance": DISTANCE}, lambda p, t: entropy(p, t) + 6 * energy(p, t)),
    "xemd2": (
        {"ground_distance": DISTANCE / 4, "regularizer_weight": 2},
        lambda p, t: entropy(p, t) + 2 * (p.square() * (t @ ((DISTANCE.double() / 4) ** 2 - 0.25))).sum(-1),
    ),
    "a-emd": (
        {"ground_distance": DISTANCE, "entropic_strength": 10.0},
        lambda p, t: (p * (t @ DISTANCE.double())).sum(-1) + (p * p.log()).sum(-1) / 10,
    ),
}


# Sinkhorn's plans of soft labels have no closed form; tests/losses has them.
@pytest.mark.parametrize(("loss", "soft"), [(loss, False) for loss in CASES] + [(loss, True) for loss in [*CASES][:-1]])
def test_a_step_is_that_of_one_large_batch(tmp_path, loss, soft):
    options, equation = CASES[loss]
    expected = gradient_of_all(equation, soft)
    for accumulation in (1, 2, 4) if loss == "xemd" else (2,):
        func = compute_loss_func(loss, **options)
        change = change_of_one_step(tmp_path, func, soft, accumulation)
        np.testing.assert_allclose(change, expected, rtol=EQUAL, atol=EQUAL)


def test_the_mean_over_a_batch_is_off_by_the_accumulation_steps(tmp_path):
    def naive(outputs, labels, num_items_in_batch=None):
        return F.cross_entropy(outputs["logits"], labels)

    change = change_of_one_step(tmp_path, naive, accumulation=4)
    np.testing.assert_allclose(change, 4 * gradient_of_all(CASES["xe"][1]), rtol=EQUAL, atol=EQUAL)


def test_labels_of_minus_100_do_not_count():
    logits = torch.randn(3, K, generator=torch.Generator().manual_seed(0))
    func = compute_loss_func("emd", geometry="circle")
    alone = func((logits[:2],), torch.tensor([0, 3]))
    assert torch.equal(func((logits,), torch.tensor([0, 3, -100])), alone)
    torch.testing.assert_close(func(logits, torch.tensor([0, 3, -100]), num_items_in_batch=4), alone / 2)


def test_what_a_tree_and_a_file_say(tmp_path):
    tree = LabelTree.from_nested({"near": ["a", "b"], "far": ["c", "d"]})
    np.save(tmp_path / "d.npy", tree.distances())
    logits, labels = torch.randn(3, K, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 3])
    of_tree = compute_loss_func("xemd", ground_distance=tree)(logits, labels)
    torch.testing.assert_close(compute_loss_func("xemd", ground_distance=tmp_path / "d.npy")(logits, labels), of_tree)
    torch.testing.assert_close(
        compute_loss_func("xemd", ground_distance=tree, class_weights=[2, 2, 2, 2])(logits, labels), 2 * of_tree
    )


EPOCHS, SIZE = 4, 8
LEARNED = {
    "xemd": {"jump_start_epochs": 1},
    "xemd1": {"jump_start_epochs": 2, "regularizer_ratio": 3.0},
    "xemd2": {"jump_start_epochs": 2, "rank": "inclusive", "class_weights": [1.0, 2.0, 1.0, 0.5]},
}


def batches():
    rows = samples()
    for start in range(0, len(rows), SIZE):
        part = rows[start : start + SIZE]
        yield torch.stack([row["inputs"] for row in part]), torch.tensor([row["labels"] for row in part])


def loop(network, guidance, epochs):
    """Plain gradient descent; each epoch ends with a look at the loss, which changes nothing."""
    head_input = HeadInput(network, num_outputs=K)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(epochs):
        for inputs, labels in batches():
            with head_input.armed():
                logits = network(inputs)["logits"]
            guidance.update(head_input.take(logits), labels)
            guidance(logits, labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        guidance.end_epoch()
        with torch.no_grad():
            guidance(network(inputs)["logits"], labels)


def network():
    torch.manual_seed(0)
    return Network()


@pytest.mark.parametrize("loss", LEARNED)
def test_gives_the_numbers_of_the_trainer(tmp_path, loss):
    options = dict(LEARNED[loss])
    expected = EMDTrainer(
        network(),
        arguments(
            tmp_path, loss=loss, num_train_epochs=EPOCHS, max_grad_norm=0.0, lr_scheduler_type="constant",
            train_sampling_strategy="sequential", **options,
        ),
        train_dataset=samples(),
    )  # fmt: skip
    expected.train()
    trained, guidance = network(), SelfGuidance(K, loss, **options)
    loop(trained, guidance, EPOCHS)
    criterion = expected.criterion
    assert (guidance.epoch, guidance.in_jump_start) == (EPOCHS, False)
    assert guidance.regularizer_weight == pytest.approx(criterion.regularizer_weight, rel=1e-6)
    assert guidance.sdd == pytest.approx(criterion.distance.sdd, rel=1e-6)
    torch.testing.assert_close(guidance.ground_distance, criterion.ground_distance, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(trained.head.weight, expected.model.head.weight, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", LEARNED)
def test_goes_on_from_its_state_to_the_bit(loss):
    whole, guidance = network(), SelfGuidance(K, loss, **LEARNED[loss])
    loop(whole, guidance, EPOCHS)
    for cut in (1, 2):
        trained, first, second = (
            network(),
            SelfGuidance(K, loss, **LEARNED[loss]),
            SelfGuidance(K, loss, **LEARNED[loss]),
        )
        loop(trained, first, cut)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        loop(trained, second, EPOCHS - cut)
        assert torch.equal(second.ground_distance, guidance.ground_distance)
        assert torch.equal(trained.head.weight, whole.head.weight)


def test_a_given_distance_and_no_jump_start(tmp_path):
    line = 1.0 * abs(torch.arange(K)[:, None] - torch.arange(K))
    logits, labels = torch.randn(5, K, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0])
    guidance = SelfGuidance(K, jump_start_epochs=0, ground_distance=line, prior_weight=1.0, prior_decay=1.0)
    guidance.update(torch.rand(5, 3), labels)
    guidance.end_epoch()
    torch.testing.assert_close(guidance.ground_distance, line.double() * 0.6)  # their mean is 5 / 3
    losses = guidance(logits, labels, reduction="none")
    assert torch.equal(losses.sum(), guidance(logits, labels, reduction="sum")) and not guidance.in_jump_start
    model = tiny_vit()
    guidance.write_config(model)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(load_ground_distance(tmp_path), guidance.ground_distance, rtol=0, atol=1e-6)
    assert model.config.emd["loss"] == "xemd"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: compute_loss_func("xemd"),
            "the loss xemd needs a ground distance, which is not learned here: give ground_distance or geometry. "
            "learn_ground_distance(model, dataset) gives that of a trained model; EMDTrainer learns it in training.",
        ),
        (
            lambda: compute_loss_func("xemd2", ground_distance=DISTANCE),
            "regularizer_weight of the loss xemd2 must be a number here, because there is no jump start to measure it "
            "in. Take that of an earlier run of EMDTrainer, or 1.",
        ),
        (
            lambda: compute_loss_func("emd")(torch.zeros(1, 2), None),
            "the loss needs labels, which the Trainer did not give. Name the label column `label` or `labels`, and "
            'where the model takes none, set label_names=["labels"] among the arguments.',
        ),
        (
            lambda: compute_loss_func("mse"),
            "loss must be one of xe, reg, emd, xemd1, xemd2, a-emd, xemd, got 'mse'.",
        ),
        (
            lambda: compute_loss_func("emd", class_weights="balanced"),
            "class_weights must be numbers here, got 'balanced': no dataset is known to count in. "
            "class_weights_from_counts gives them.",
        ),
        (
            lambda: compute_loss_func("emd", prior_weight=0.5),
            "there is no option prior_weight here. There are: loss, omega, mu, regularizer_weight, true_class_cost, "
            "ground_distance, geometry, spacing, class_weights, label_smoothing_temperature, "
            "entropic_strength, sinkhorn_iterations, label_smoothing_factor.",
        ),
        (
            lambda: SelfGuidance(K, "emd"),
            "loss must be xemd, xemd1 or xemd2, which learn a ground distance, got 'emd'. compute_loss_func and "
            "squared_emd.losses have the others.",
        ),
        (
            lambda: SelfGuidance(K, "xemd2", jump_start_epochs=1),
            'regularizer_weight="auto" is measured in the last epoch of the jump start, with the D of the epoch '
            "before; where the steps of an epoch are not known, jump_start_epochs must be at least 2, got 1. Give "
            "more, or a number for regularizer_weight.",
        ),
        (
            lambda: SelfGuidance(1),
            "the loss xemd needs at least 2 classes, got 1, of which it is always 0. Load the model with num_labels=K, "
            "the number of classes, or take the loss reg, whose one output is a score.",
        ),
        (
            lambda: SelfGuidance(K)(torch.zeros(1, K), torch.tensor([0]), reduction="max"),
            'reduction must be "mean", "sum" or "none", got \'max\'.',
        ),
        (
            lambda: SelfGuidance(K, "xemd2").load_state_dict(SelfGuidance(K).state_dict()),
            "the state must be of a run with the loss xemd2, it is of another one.",
        ),
    ],
)
def test_errors(act, message):
    with pytest.raises((TypeError, ValueError)) as error:
        act()
    assert str(error.value) == message
