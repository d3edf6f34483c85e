"""Each test asks the head itself: the layer of a name written here must turn the features into the logits."""

import copy
import pickle
import re

import pytest
import torch
import transformers as tf
from timm.models import vgg
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from squared_emd.training.head_features import HeadInput

B, K = 4, 5
BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TRANSFORMER = {**BLOCKS, "intermediate_size": 32, "num_labels": K}
PATCHES = {**TRANSFORMER, "image_size": 32, "patch_size": 8}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": K}
SPEECH = {
    "conv_dim": (8, 8),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 12,
}
WINDOWS = {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2, "num_labels": K}


def images(size=32):
    return {"pixel_values": torch.randn(B, 3, size, size)}


def tokens():
    return {"input_ids": torch.randint(5, 40, (B, 9))}


def waves():
    return {"input_values": torch.randn(B, 400)}


def from_timm(architecture, **model_args):
    config = tf.TimmWrapperConfig(architecture=architecture, num_labels=K, model_args=model_args or None)
    return tf.TimmWrapperForImageClassification(config)


def resnet():
    return tf.ResNetForImageClassification(tf.ResNetConfig(embedding_size=8, layer_type="basic", **STAGES))


def vit(num_labels=K):
    return tf.ViTForImageClassification(tf.ViTConfig(**{**PATCHES, "num_labels": num_labels}))


def deit_distilled():
    return tf.DeiTForImageClassificationWithTeacher(tf.DeiTConfig(**PATCHES))


class Plain(nn.Module):
    """Two linear layers; the second is the head."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, K)

    def forward(self, pixel_values):
        return {"logits": self.head(torch.tanh(self.body(pixel_values)))}


# name: (model, inputs, the dotted name of its head)
MODELS = {
    "resnet": (resnet, images, "classifier.1"),
    "vit": (vit, images, "classifier"),
    "convnextv2": (
        lambda: tf.ConvNextV2ForImageClassification(tf.ConvNextV2Config(num_stages=2, **STAGES)),
        images,
        "classifier",
    ),
    "swin": (lambda: tf.SwinForImageClassification(tf.SwinConfig(**WINDOWS)), images, "classifier"),
    "swinv2": (lambda: tf.Swinv2ForImageClassification(tf.Swinv2Config(**WINDOWS)), images, "classifier"),
    "regnet": (
        lambda: tf.RegNetForImageClassification(
            tf.RegNetConfig(embedding_size=8, groups_width=4, layer_type="x", **STAGES)
        ),
        images,
        "classifier.1",
    ),
    "bit": (
        lambda: tf.BitForImageClassification(
            tf.BitConfig(embedding_size=8, num_groups=4, **{**STAGES, "hidden_sizes": [32, 64]})
        ),
        images,
        "classifier.1",
    ),
    "efficientnet": (
        lambda: tf.EfficientNetForImageClassification(
            tf.EfficientNetConfig(width_coefficient=0.1, depth_coefficient=0.1, hidden_dim=128, num_labels=K)
        ),
        images,
        "classifier",
    ),
    "deit": (lambda: tf.DeiTForImageClassification(tf.DeiTConfig(**PATCHES)), images, "classifier"),
    "beit": (lambda: tf.BeitForImageClassification(tf.BeitConfig(**PATCHES)), images, "classifier"),
    "dinov2": (
        lambda: tf.Dinov2ForImageClassification(
            tf.Dinov2Config(image_size=32, patch_size=8, num_labels=K, mlp_ratio=2, **BLOCKS)
        ),
        images,
        "classifier",
    ),
    "bert": (
        lambda: tf.BertForSequenceClassification(tf.BertConfig(vocab_size=50, **TRANSFORMER)),
        tokens,
        "classifier",
    ),
    "roberta": (
        lambda: tf.RobertaForSequenceClassification(tf.RobertaConfig(vocab_size=50, **TRANSFORMER)),
        tokens,
        "classifier.out_proj",
    ),
    "distilbert": (
        lambda: tf.DistilBertForSequenceClassification(
            tf.DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=32, num_labels=K)
        ),
        tokens,
        "classifier",
    ),
    "wav2vec2": (
        lambda: tf.Wav2Vec2ForSequenceClassification(tf.Wav2Vec2Config(**SPEECH, **TRANSFORMER)),
        waves,
        "classifier",
    ),
    "ast": (
        lambda: tf.ASTForAudioClassification(
            tf.ASTConfig(num_mel_bins=32, max_length=32, patch_size=8, time_stride=8, frequency_stride=8, **TRANSFORMER)
        ),
        lambda: {"input_values": torch.randn(B, 32, 32)},
        "classifier.dense",
    ),
    "timm resnet": (lambda: from_timm("test_resnet"), images, "timm_model.fc"),
    "timm resnetv2, 1x1 convolution": (
        lambda: from_timm("resnetv2_50", layers=[1, 1], channels=[16, 32], stem_chs=8),
        images,
        "timm_model.head.fc",
    ),
    "timm efficientnet": (lambda: from_timm("test_efficientnet"), images, "timm_model.classifier"),
    "timm vit": (lambda: from_timm("test_vit"), lambda: images(160), "timm_model.head"),
    "timm convnext": (lambda: from_timm("test_convnext"), images, "timm_model.head.fc"),
    "plain module": (Plain, lambda: {"pixel_values": torch.randn(B, 6)}, "head"),
}


def logits_of(outputs):
    return outputs["logits"] if isinstance(outputs, dict) else outputs.logits


def caught(head_input, model, inputs):
    with head_input.armed():
        logits = logits_of(model(**inputs))
    return head_input.take(logits), logits


def through(head, features):
    """The head's answer to the features alone."""
    if isinstance(head, nn.Conv2d):
        return head(features[:, :, None, None]).flatten(1)  # (B, K)
    return head(features)  # (B, K)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_finds_the_head_without_being_told(name, training):
    build, inputs, expected = MODELS[name]
    model = build().train(training)
    head_input = HeadInput(model, num_outputs=K)
    assert head_input.head is None
    for _ in range(2):  # the search, then a step that knows the head
        features, logits = caught(head_input, model, inputs())
        assert head_input.head == expected
        assert features.shape[0] == B and not features.requires_grad
        torch.testing.assert_close(through(model.get_submodule(expected), features), logits)


def test_finds_the_head_of_vgg16_behind_pre_logits(monkeypatch):
    widths = [width if width == "M" else 8 for width in vgg.cfgs["vgg16"]]
    monkeypatch.setitem(vgg.cfgs, "vgg16", widths)  # all 16 layers, but 8 channels wide
    model = from_timm("vgg16", mlp_ratio=0.01).eval()
    head_input = HeadInput(model, num_outputs=K)
    features, logits = caught(head_input, model, images())
    assert head_input.head == "timm_model.head.fc"
    assert features.shape == (B, 4096)
    torch.testing.assert_close(model.timm_model.head.fc(features), logits)


def test_one_output_of_a_regression_is_found():
    model = vit(num_labels=1).eval()
    head_input = HeadInput(model, num_outputs=1)
    features, logits = caught(head_input, model, images())
    assert head_input.head == "classifier"
    torch.testing.assert_close(model.classifier(features), logits)


def test_averaged_heads_are_refused_and_a_name_helps():
    model = deit_distilled().eval()
    inputs = images()
    with pytest.raises(ValueError) as error:
        caught(HeadInput(model, num_outputs=K), model, inputs)
    assert str(error.value) == (
        "The output of exactly one layer must be the logits, of shape (4, 5), got 0 such layers among the 2 that ran. "
        'Pass head="module.name". Layers with 5 outputs: cls_classifier (Linear, 16 -> 5), '
        "distillation_classifier (Linear, 16 -> 5)."
    )
    head_input = HeadInput(model, num_outputs=K, head="cls_classifier")
    with head_input.armed():
        outputs = model(**inputs)
    features = head_input.take(outputs.logits)
    torch.testing.assert_close(model.cls_classifier(features), outputs.cls_logits)


def test_heads_that_cannot_be_told_apart_are_refused():
    model = deit_distilled().eval()
    for head in (model.cls_classifier, model.distillation_classifier):
        nn.init.zeros_(head.weight)  # both heads and their mean give zeros
    with pytest.raises(ValueError, match=r"^The output of exactly one layer must be .* got 2 such layers among the 2 "):
        caught(HeadInput(model, num_outputs=K), model, images())


def test_unknown_head_name():
    with pytest.raises(ValueError) as error:
        HeadInput(vit(), num_outputs=K, head="fc")
    assert str(error.value) == (
        "head must name a module of ViTForImageClassification, got 'fc'. "
        "Layers with 5 outputs: classifier (Linear, 16 -> 5)."
    )


def test_no_layer_with_that_many_outputs():
    with pytest.raises(ValueError) as error:
        HeadInput(resnet(), num_outputs=7)
    message = str(error.value)
    assert message.startswith(
        "ResNetForImageClassification must have a Linear or convolution layer with 7 outputs, the classifier head. "
        "No layer has 7 outputs; the last layers: "
    )
    assert message.endswith(
        "resnet.encoder.stages.1.layers.0.layer.1.convolution (Conv2d, 16 -> 16), classifier.1 (Linear, 16 -> 5). "
        'Check num_outputs, or pass head="module.name".'
    )


@pytest.mark.parametrize("head", [None, "head"])
def test_take_without_a_forward(head):
    head_input = HeadInput(Plain(), num_outputs=K, head=head)
    message = (
        "The head (head) must run inside `with head_input.armed():` before each take(), but did not. "
        "Run the model in that block, and construct HeadInput before compiling it."
    )
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        head_input.take(torch.zeros(B, K))


def test_features_are_only_held_while_armed_and_taken_once():
    model = Plain()
    head_input = HeadInput(model, num_outputs=K)
    _, logits = caught(head_input, model, {"pixel_values": torch.randn(B, 6)})
    with pytest.raises(RuntimeError):
        head_input.take(logits)  # taken before
    logits = model(pixel_values=torch.randn(B, 6))["logits"]
    with pytest.raises(RuntimeError):
        head_input.take(logits)  # not armed


def test_features_of_another_batch_size():
    model = Plain()
    head_input = HeadInput(model, num_outputs=K, head="head")
    with head_input.armed():
        model(pixel_values=torch.randn(B, 6))
    with pytest.raises(ValueError) as error:
        head_input.take(torch.zeros(3, K))
    assert str(error.value) == (
        "The input of the head 'head' must be one row of features for each of the 3 samples, got the shape (4, 8). "
        'Pass head="module.name", a Linear or convolution layer that runs once on the whole batch. '
        "Layers with 5 outputs: head (Linear, 8 -> 5)."
    )


class Positions(nn.Module):
    """A head that runs at every position of an image or a sequence; its answers are averaged."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, x):
        y = self.head(x)
        return y.flatten(2).mean(2) if isinstance(self.head, nn.Conv2d) else y.flatten(1, -2).mean(1)  # (B, K)


@pytest.mark.parametrize(
    ("head", "shape"),
    [(nn.Conv2d(6, K, 1), (B, 6, 3, 2)), (nn.Linear(6, K), (B, 7, 6)), (nn.Linear(6, K), (B, 3, 2, 6))],
)
def test_positions_of_a_named_head_are_averaged(head, shape):
    # A linear head of the mean is the mean of the heads, so the logits are the oracle here too.
    model = Positions(head)
    x = torch.randn(shape)
    with (
        pytest.raises(ValueError, match="got 0 such layers among the 1 that ran"),
        (search := HeadInput(model, K)).armed(),
    ):
        search.take(model(x))
    head_input = HeadInput(model, num_outputs=K, head="head")
    with head_input.armed():
        logits = model(x)
    features = head_input.take(logits)
    assert features.shape == (B, 6)
    torch.testing.assert_close(through(head, features), logits)


def test_a_named_head_may_be_any_module_with_rows():
    model = tf.RobertaForSequenceClassification(tf.RobertaConfig(vocab_size=50, **TRANSFORMER)).eval()
    head_input = HeadInput(model, num_outputs=K, head="roberta.encoder")  # called with tokens (B, T, d)
    inputs = tokens()
    features, _ = caught(head_input, model, inputs)
    embedded = model.roberta.embeddings(input_ids=inputs["input_ids"])  # (B, T, d)
    torch.testing.assert_close(features, embedded.mean(1))


def test_an_image_into_a_module_of_unknown_axes_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, K))
    head_input = HeadInput(model, num_outputs=K, head="0")
    with (
        pytest.raises(ValueError, match=r"must be one row of features .* got the shape \(4, 3, 4, 4\)\."),
        head_input.armed(),
    ):
        head_input.take(model(torch.randn(B, 3, 4, 4)))


def test_bf16_autocast():
    model = vit()
    head_input = HeadInput(model, num_outputs=K)
    with torch.autocast("cpu", dtype=torch.bfloat16), head_input.armed():
        logits = model(**images()).logits
    assert logits.dtype == torch.bfloat16
    features = head_input.take(logits.float())  # the trainer casts what the model returns
    assert head_input.head == "classifier" and features.shape == (B, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(model.classifier(features), logits)


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable. is deprecated:FutureWarning")
@pytest.mark.parametrize("num_labels", [K, 16], ids=["one candidate", "many candidates"])
def test_activation_checkpointing_catches_the_features_once(num_labels):
    model = vit(num_labels).train()
    plain = copy.deepcopy(model)
    model.gradient_checkpointing_enable()
    inputs = images()
    features, logits = caught(head_input := HeadInput(model, num_labels), model, inputs)
    expected, _ = caught(HeadInput(plain, num_labels), plain, inputs)
    torch.testing.assert_close(features, expected)
    logits.sum().backward()  # runs the blocks again
    assert head_input.head == "classifier"
    with pytest.raises(RuntimeError):
        head_input.take(logits)


@pytest.mark.parametrize("build", [resnet, vit])
def test_compiled_model(build):
    # aot_eager is torch.compile up to code generation: tracing, guards and the joint graph, without a C++ compiler.
    model = build()
    eager = copy.deepcopy(model)
    head_input, reference = HeadInput(model, num_outputs=K), HeadInput(eager, num_outputs=K)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)  # fullgraph: a graph break is an error
    compilations = []
    for training in (True, True, False, True):
        model.train(training), eager.train(training)
        inputs = images()
        if training:
            features, logits = caught(head_input, compiled, inputs)
            torch.testing.assert_close(features, caught(reference, eager, inputs)[0])
            assert head_input.head == reference.head
            logits.sum().backward()
        else:
            with torch.no_grad():
                compiled(**inputs)
        compilations.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert compilations == [1, 1, 2, 2]  # one for training, one for evaluation, as without hooks


def test_distributed_data_parallel():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        model = vit()
        head_input = HeadInput(model, num_outputs=K)
        wrapped = DistributedDataParallel(model)
        for _ in range(2):
            features, logits = caught(head_input, wrapped, images())
            logits.sum().backward()
            torch.testing.assert_close(model.classifier(features), logits)
    finally:
        torch.distributed.destroy_process_group()


class Leaky(nn.Module):
    """Remembers the storage of its features, without keeping it alive, and can be told to fail after the head ran."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.fail = nn.Linear(6, K), nn.Linear(K, K), False

    def forward(self, x):
        features = torch.tanh(self.body(x))
        self.storage = StorageWeakRef(features.untyped_storage())
        logits = self.head(features)
        if self.fail:
            raise ArithmeticError
        return logits


def test_nothing_is_held_after_take_or_after_a_failed_forward():
    model = Leaky()
    head_input = HeadInput(model, num_outputs=K)
    with head_input.armed():
        logits = model(torch.randn(B, 6))
    features = head_input.take(logits)
    del logits
    assert not model.storage.expired()
    del features
    assert model.storage.expired()

    model.fail = True
    with pytest.raises(ArithmeticError), head_input.armed():
        model(torch.randn(B, 6))
    assert model.storage.expired()
    with pytest.raises(RuntimeError):
        head_input.take(torch.zeros(B, K))


class Operations(TorchDispatchMode):
    """Records the names of the tensor operations."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_only_the_first_take_waits_for_the_device():
    model = Plain()
    head_input = HeadInput(model, num_outputs=K)
    waits = []
    for _ in range(2):
        with head_input.armed():
            logits = model(torch.randn(B, 6))["logits"]
        with Operations() as operations:
            head_input.take(logits)
        waits.append("_local_scalar_dense" in operations.names)  # a value read by the host
    assert waits == [True, False]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_work_and_leave_the_original_alone(duplicate):
    model = Plain()
    head_input = HeadInput(model, num_outputs=K)
    twin = duplicate(model)
    inputs = {"pixel_values": torch.randn(B, 6)}
    with head_input.armed():
        logits = twin(**inputs)["logits"]
    with pytest.raises(RuntimeError):
        head_input.take(logits)  # the copy's forward is not the original's
    torch.testing.assert_close(logits, model(**inputs)["logits"])


def test_remove_takes_every_hook_off():
    model = vit(num_labels=16)
    head_input = HeadInput(model, num_outputs=16)
    assert sum(len(module._forward_hooks) for module in model.modules()) > 1
    caught(head_input, model, images())
    assert [name for name, module in model.named_modules() if module._forward_hooks] == ["classifier"]
    head_input.remove()
    assert not any(module._forward_hooks for module in model.modules())


def test_save_pretrained_is_unaffected(tmp_path):
    model = vit().eval()
    head_input = HeadInput(model, num_outputs=K)
    inputs = images()
    _, logits = caught(head_input, model, inputs)
    model.save_pretrained(tmp_path)
    loaded = tf.ViTForImageClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(**inputs).logits, logits)
    assert loaded.state_dict().keys() == model.state_dict().keys()
