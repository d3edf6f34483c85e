"""Tiny models of many architectures, their inputs and the names of their heads."""

from functools import partial

import torch
import transformers as tf
from tests.training.tiny import K

B = 4
BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": K}
TRANSFORMER = BLOCKS | {"intermediate_size": 32}
TEXT = TRANSFORMER | {"vocab_size": 50}
DISTILLED = {"vocab_size": 50, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "num_labels": K}
PATCHES = TRANSFORMER | {"image_size": 32, "patch_size": 8}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": K}
BIT = STAGES | {"hidden_sizes": [32, 64], "embedding_size": 8, "num_groups": 4}
REGNET = STAGES | {"embedding_size": 8, "groups_width": 4, "layer_type": "x"}
SCALED = {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128, "num_labels": K}
WINDOWS = {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2, "num_labels": K}
SPECTROGRAM = {"num_mel_bins": 32, "max_length": 32, "patch_size": 8, "time_stride": 8, "frequency_stride": 8}
SPEECH = TRANSFORMER | {
    "conv_dim": (8, 8),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 12,
}


def images(size=32):
    return {"pixel_values": torch.randn(B, 3, size, size)}


def tokens():
    return {"input_ids": torch.randint(5, 40, (B, 9))}


def waves():
    return {"input_values": torch.randn(B, 400)}


def of_transformers(name, **fields):
    cls = getattr(tf, name)
    return cls(cls.config_class(**fields))


def of_timm(architecture, **fields):
    return of_transformers(
        "TimmWrapperForImageClassification", architecture=architecture, num_labels=K, model_args=fields or None
    )


_TABLE = [  # the class, or the name in timm; fields of its config; inputs; the dotted name of its head
    ("ResNetForImageClassification", STAGES | {"embedding_size": 8, "layer_type": "basic"}, images, "classifier.1"),
    ("ViTForImageClassification", PATCHES, images, "classifier"),
    ("ConvNextV2ForImageClassification", STAGES | {"num_stages": 2}, images, "classifier"),
    ("SwinForImageClassification", WINDOWS, images, "classifier"),
    ("Swinv2ForImageClassification", WINDOWS, images, "classifier"),
    ("RegNetForImageClassification", REGNET, images, "classifier.1"),
    ("BitForImageClassification", BIT, images, "classifier.1"),
    ("EfficientNetForImageClassification", SCALED, images, "classifier"),
    ("DeiTForImageClassification", PATCHES, images, "classifier"),
    ("BeitForImageClassification", PATCHES, images, "classifier"),
    (
        "Dinov2ForImageClassification",
        BLOCKS | {"image_size": 32, "patch_size": 8, "mlp_ratio": 2},
        images,
        "classifier",
    ),
    ("BertForSequenceClassification", TEXT, tokens, "classifier"),
    ("RobertaForSequenceClassification", TEXT, tokens, "classifier.out_proj"),
    ("DistilBertForSequenceClassification", DISTILLED, tokens, "classifier"),
    ("Wav2Vec2ForSequenceClassification", SPEECH, waves, "classifier"),
    (
        "ASTForAudioClassification",
        TRANSFORMER | SPECTROGRAM,
        lambda: {"input_values": torch.randn(B, 32, 32)},
        "classifier.dense",
    ),
    ("test_resnet", {}, images, "timm_model.fc"),
    ("resnetv2_50", {"layers": [1, 1], "channels": [16, 32], "stem_chs": 8}, images, "timm_model.head.fc"),  # 1x1 conv
    ("test_efficientnet", {}, images, "timm_model.classifier"),
    ("test_vit", {}, lambda: images(160), "timm_model.head"),
    ("test_convnext", {}, images, "timm_model.head.fc"),
]
MODELS = {
    name: (partial(of_transformers if name.endswith("Classification") else of_timm, name, **fields), inputs, head)
    for name, fields, inputs, head in _TABLE
}  # by name, what builds the model, what makes a batch of inputs, and the name of the head
