"""Each test asks the head itself: the layer of a name written here must turn the features into the logits."""

import copy
import re

import pytest
import torch
from tests.training.architectures import MODELS, PATCHES, TEXT, B, images, of_timm, of_transformers, tokens
from tests.training.tiny import K, Network, tiny_vit
from timm.models import vgg
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from squared_emd.losses import logits_of
from squared_emd.training.head_features import HeadInput


def vectors():
    return {"inputs": torch.randn(B, 3)}


def caught(head_input, model, inputs):
    with head_input.armed():
        logits = logits_of(model(**inputs))
    return head_input.take(logits), logits


def through(head, features):
    """The head's answer to the features alone."""
    if isinstance(head, nn.Conv2d):
        return head(features[:, :, None, None]).flatten(1)  # (B, K)
    return head(features)  # (B, K)


def hooks_of(model):
    return [name for name, module in model.named_modules() if module._forward_hooks]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def check_head(model, inputs, expected, num_outputs=K):
    for training in (True, False):
        model.train(training)
        head_input = HeadInput(model, num_outputs)
        assert head_input.head is None
        for _ in range(2):  # the search, then a step that knows the head
            features, logits = caught(head_input, model, inputs())
            assert head_input.head == expected
            assert features.shape[0] == B and not features.requires_grad
            torch.testing.assert_close(through(model.get_submodule(expected), features), logits)


@pytest.mark.parametrize("name", MODELS)
def test_finds_the_head_without_being_told(name):
    build, inputs, expected = MODELS[name]
    check_head(build(), inputs, expected)


def test_finds_the_head_of_vgg16_behind_pre_logits(monkeypatch):
    widths = [width if width == "M" else 8 for width in vgg.cfgs["vgg16"]]
    monkeypatch.setitem(vgg.cfgs, "vgg16", widths)  # all 16 layers, but 8 channels wide
    check_head(of_timm("vgg16", mlp_ratio=0.01), images, "timm_model.head.fc")


def test_one_output_of_a_regression_is_found():
    check_head(tiny_vit(num_labels=1), lambda: images(8), "classifier", num_outputs=1)


class Positions(nn.Module):
    """A head that runs at every position of an image or a sequence; its answers are averaged."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, x):
        y = self.head(x)
        return y.flatten(2).mean(2) if isinstance(self.head, nn.Conv2d) else y.flatten(1, -2).mean(1)  # (B, K)


def distilled(zeros=False):
    model = of_transformers("DeiTForImageClassificationWithTeacher", **PATCHES).eval()
    for head in (model.cls_classifier, model.distillation_classifier) if zeros else ():
        nn.init.zeros_(head.weight)  # both heads and their mean give zeros
    return model


def found(count, ran, layers):
    return (
        f"The output of exactly one layer must be the logits, of shape (4, 4), got {count} such layers among the {ran} "
        f'that ran. Pass head="module.name". Layers with 4 outputs: {layers}.'
    )


TWO_HEADS = "cls_classifier (Linear, 16 -> 4), distillation_classifier (Linear, 16 -> 4)"
NOT_RUN = (
    "The head (head) must run inside `with head_input.armed():` before each take(), but did not. Run the model in that "
    "block, and let head name a layer that always runs."
)
NO_ROWS = (
    "The input of the head {} must be one row of features for each of the {} samples, got the shape {}. Pass "
    'head="module.name", a Linear or convolution layer that runs once on the whole batch. Layers with 4 outputs: {}.'
)


def with_another_batch():
    head_input = HeadInput(model := Network(), K, head="head")
    with head_input.armed():
        model(**vectors())
    head_input.take(torch.zeros(3, K))


def taken_twice():
    _, logits = caught(head_input := HeadInput(model := Network(), K), model, vectors())
    head_input.take(logits)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda: caught(HeadInput(model := distilled(), K), model, images()), found(0, 2, TWO_HEADS)),
        (lambda: caught(HeadInput(model := distilled(True), K), model, images()), found(2, 2, TWO_HEADS)),
        (
            lambda: caught(HeadInput(model := Positions(nn.Linear(6, K)), K), model, {"x": torch.randn(B, 7, 6)}),
            found(0, 1, "head (Linear, 6 -> 4)"),
        ),
        (
            lambda: HeadInput(Network(), K, head="fc"),
            "head must name a module of Network, got 'fc'. Layers with 4 outputs: head (Linear, 6 -> 4).",
        ),
        (
            lambda: HeadInput(Network(), 7),
            "Network must have a Linear or convolution layer with 7 outputs, the classifier head. No layer has 7 "
            "outputs; the last layers: body (Linear, 3 -> 6), head (Linear, 6 -> 4). Check num_outputs, or pass "
            'head="module.name".',
        ),
        (lambda: HeadInput(Network(), K).take(torch.zeros(B, K)), NOT_RUN),
        (lambda: HeadInput(Network(), K, head="head").take(torch.zeros(B, K)), NOT_RUN),
        (taken_twice, NOT_RUN),
        (with_another_batch, NO_ROWS.format("'head'", 3, "(4, 6)", "head (Linear, 6 -> 4)")),
        (
            lambda: caught(
                HeadInput(model := nn.Sequential(nn.Flatten(), nn.Linear(48, K)), K, head="0"),
                model,
                {"input": torch.randn(B, 3, 4, 4)},
            ),
            NO_ROWS.format("'0'", B, "(4, 3, 4, 4)", "1 (Linear, 48 -> 4)"),
        ),
    ],
)
def test_refused(do, message):
    with pytest.raises((ValueError, RuntimeError), match=f"^{re.escape(message)}$"):
        do()


class Masked(Network):
    mask = -torch.inf

    def forward(self, inputs):
        logits = super().forward(inputs)["logits"]
        return {"logits": logits.masked_fill(torch.tensor([False, True, False, False]), self.mask)}


@pytest.mark.parametrize("mask", [-torch.inf, torch.finfo().min, -1e9, -1e4])
def test_a_head_whose_logits_are_masked(mask):
    model = Masked()
    model.mask = mask
    features, _ = caught(head_input := HeadInput(model, K), model, inputs := vectors())
    torch.testing.assert_close(features, model.body(inputs["inputs"]).relu())
    assert head_input.head == "head"
    with pytest.raises(ValueError, match="got 0 such layers"):  # there is nothing to compare
        head_input = HeadInput(model, K)
        with head_input.armed():
            model(**vectors())
        head_input.take(torch.full((B, K), -torch.inf))


@pytest.mark.parametrize(
    ("wrap", "resets"),
    [
        (lambda model: model, 0),
        (lambda model: torch.compile(model, backend="eager"), 1),
        (lambda model: model.compile(backend="eager") or model, 1),
        (lambda model: setattr(model, "forward", torch.compile(model.forward, backend="eager")) or model, 1),
    ],
    ids=["not compiled", "wrapped", "in place", "its method"],
)
def test_only_compiled_code_is_thrown_away(monkeypatch, wrap, resets):
    calls = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: calls.append(1))
    model = nn.Sequential(Network())
    wrapped = nn.ModuleList([wrap(model)])  # as DistributedDataParallel has it
    head_input = HeadInput(model, K)
    for _ in range(2):
        with head_input.armed(wrapped):
            pass
    assert len(calls) == resets


def test_one_of_two_heads_by_name():
    model = distilled()
    head_input = HeadInput(model, K, head="cls_classifier")
    with head_input.armed():
        outputs = model(**images())
    torch.testing.assert_close(model.cls_classifier(head_input.take(outputs.logits)), outputs.cls_logits)


@pytest.mark.parametrize(
    ("head", "shape"),
    [(nn.Conv2d(6, K, 1), (B, 6, 3, 2)), (nn.Linear(6, K), (B, 7, 6)), (nn.Linear(6, K), (B, 3, 2, 6))],
)
def test_positions_of_a_named_head_are_averaged(head, shape):
    # A linear head of the mean is the mean of the heads, so the logits are the oracle here too.
    model = Positions(head)
    features, logits = caught(HeadInput(model, K, head="head"), model, {"x": torch.randn(shape)})
    assert features.shape == (B, 6)
    torch.testing.assert_close(through(head, features), logits)


def test_a_named_head_may_be_any_module_with_rows():
    model = of_transformers("RobertaForSequenceClassification", **TEXT).eval()
    inputs = tokens()
    features, _ = caught(HeadInput(model, K, head="roberta.encoder"), model, inputs)  # called with tokens (B, T, d)
    torch.testing.assert_close(features, model.roberta.embeddings(input_ids=inputs["input_ids"]).mean(1))


class Leaky(Network):
    """Remembers the storage of its features, without keeping it alive, and can be told to fail after the head ran."""

    fail = False

    def forward(self, inputs):
        features = torch.tanh(self.body(inputs))
        self.storage = StorageWeakRef(features.untyped_storage())
        logits = self.head(features)
        if self.fail:
            raise ArithmeticError
        return logits


def test_nothing_is_held_after_take_or_after_a_failed_forward():
    model = Leaky()
    features, _ = caught(head_input := HeadInput(model, num_outputs=K), model, vectors())
    assert not model.storage.expired()
    del features, _
    assert model.storage.expired()

    model.fail = True
    with pytest.raises(ArithmeticError), head_input.armed():
        model(**vectors())
    assert model.storage.expired() and hooks_of(model) == []
    with pytest.raises(RuntimeError):
        head_input.take(torch.zeros(B, K))


def test_the_hooks_are_there_while_armed():
    model = tiny_vit(num_labels=8)
    head_input, inputs = HeadInput(model, num_outputs=8), images(8)
    for expected in (7, 1, 1):
        with head_input.armed():
            assert len(hooks_of(model)) == expected  # the candidates, then the head
            twin = copy.deepcopy(model)
            twin(**inputs)
            logits = model(**inputs).logits
        assert hooks_of(model) == []
        torch.testing.assert_close(model.classifier(head_input.take(logits)), logits)
    with head_input.armed():
        twin(**inputs)
    with pytest.raises(RuntimeError):
        head_input.take(logits)  # the copy's forward is not the original's
