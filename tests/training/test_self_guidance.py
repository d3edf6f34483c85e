"""Self-guided training in a loop of one's own gives the numbers of `EMDTrainer`, and goes on from its state."""

import copy

import pytest
import torch
from tests.training.tiny import K, Network, arguments, samples, tiny_vit

from squared_emd import EMDTrainer, HeadInput, SelfGuidance, load_ground_distance

EPOCHS, SIZE = 4, 8
CASES = {
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


@pytest.mark.parametrize("loss", CASES)
def test_gives_the_numbers_of_the_trainer(tmp_path, loss):
    options = dict(CASES[loss])
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


@pytest.mark.parametrize("loss", CASES)
def test_goes_on_from_its_state_to_the_bit(loss):
    whole, guidance = network(), SelfGuidance(K, loss, **CASES[loss])
    loop(whole, guidance, EPOCHS)
    for cut in (1, 2):
        trained, first, second = network(), SelfGuidance(K, loss, **CASES[loss]), SelfGuidance(K, loss, **CASES[loss])
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
    with pytest.raises(ValueError) as error:
        act()
    assert str(error.value) == message
