"""Tiny models, samples and arguments, and a short run of them: for every test that trains."""

import random

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform
from scipy.stats import percentileofscore
from torch import nn
from torch.utils.data import Dataset, IterableDataset
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
)

from squared_emd import EMDTrainer, EMDTrainingArguments

K, D, N = 4, 6, 24  # classes, features, samples: three steps of 8 an epoch


class Network(nn.Module):
    """A classifier whose forward takes no **kwargs and that has no config."""

    def __init__(self, num_classes=K, dropout=0.0):
        super().__init__()
        self.num_classes = num_classes
        self.body = nn.Linear(3, D)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(D, num_classes)

    def forward(self, inputs):
        return {"logits": self.head(self.dropout(self.body(inputs).relu()))}


class TakesKwargs(Network):
    def forward(self, inputs, **kwargs):
        return super().forward(inputs)


def tiny_vit(num_labels=K, **fields):
    torch.manual_seed(0)
    sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 8, "intermediate_size": 16} | fields
    config = ViTConfig(num_hidden_layers=1, num_attention_heads=2, num_labels=num_labels, **sizes)
    return ViTForImageClassification(config)


def named(names):
    """Fields of a config."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}


def tiny_reviewer(*counts):
    """A model of texts, its tokenizer, and reviews of its classes for training, validation and test."""
    from squared_emd.data.synthetic.generated_data import STARS, generate_reviews
    from squared_emd.experiments.networks import tiny_text_config, word_tokenizer

    rows = generate_reviews(*counts)
    tokenizer = word_tokenizer(rows["text"])
    torch.manual_seed(0)
    config = tiny_text_config(tokenizer, **named(STARS))
    return AutoModelForSequenceClassification.from_config(config), tokenizer, rows


def tiny_bert():
    config = BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=K
    )
    return BertForSequenceClassification(config)


def samples(soft=False, num_classes=K, count=N, labels=None):
    """Inputs (3,) whose first entry grows with the class, and class indices or distributions."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count if labels is None else len(labels), 3, generator=generator)
    labels = torch.arange(count) % num_classes if labels is None else torch.tensor(labels)
    inputs[:, 0] += labels
    if soft:
        labels = (torch.eye(num_classes)[labels] + 0.1).div(1 + 0.1 * num_classes)
    return [{"inputs": x, "labels": k if soft else int(k)} for x, k in zip(inputs, labels, strict=True)]


def images(soft=False):
    """Images (3, 8, 8) that get brighter with the class."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.eye(K) * 0.8 + 0.2 / K
    return [
        {
            "pixel_values": torch.randn(3, 8, 8, generator=generator) + n % K,
            "labels": spread[n % K] if soft else n % K,
        }
        for n in range(N)
    ]


class Augmented(Dataset):
    """Adds noise from all three generators, as transforms do, and other noise in each epoch."""

    def __init__(self, data=None):
        self.data = samples() if data is None else data
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        noise = torch.randn(3) + random.random() + np.random.rand()
        return self.data[index] | {"inputs": self.data[index]["inputs"] + noise.float() + self.epoch}


class Stream(IterableDataset):
    """Any data as a stream without a length."""

    def __init__(self, data=None):
        self.data = samples() if data is None else data

    def __iter__(self):
        return iter(self.data)


def arguments(folder, cls=EMDTrainingArguments, **fields):
    """Arguments of a short run; of ours with the loss xemd2, whose D is learned and whose lambda is measured."""
    if issubclass(cls, EMDTrainingArguments):
        fields = {"loss": "xemd2"} | fields
    fields = {
        "per_device_train_batch_size": 8,
        "num_train_epochs": 4,
        "learning_rate": 0.1,
        "optim": "sgd",
        "logging_strategy": "epoch",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    } | fields
    return cls(str(folder), **fields)


def train(folder, model=None, data=None, **fields):
    if model is None:
        torch.manual_seed(0)
        model = Network()
    if fields.get("loss", "xemd2") in ("xemd1", "xemd2") and "jump_start_ratio" not in fields:
        fields = {"jump_start_epochs": 2} | fields
    trainer = EMDTrainer(model, arguments(folder, **fields), train_dataset=data or samples())
    trainer.train()
    return trainer


def make_loader(folder, data, batch_size, **fields):
    """The training data loader of an `EMDTrainer`."""
    fields = {"loss": "emd", "per_device_train_batch_size": batch_size, "remove_unused_columns": False} | fields
    return EMDTrainer(Network(), arguments(folder, **fields), train_dataset=data).get_train_dataloader()


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def features_and_logits(model, data):
    """By hand from the weights: the head's input and output for every sample, float64."""
    inputs = torch.stack([sample["inputs"] for sample in data]).double()
    weights = {name: tensor.detach().double() for name, tensor in model.named_parameters()}
    features = (inputs @ weights["body.weight"].T + weights["body.bias"]).clamp(min=0)
    logits = features @ weights["head.weight"].T + weights["head.bias"]
    return features.numpy(), logits.numpy()


def ground_distance_slowly(features, labels, kind="strict"):
    """Section 3.1, of labels (N,) or (N, K): L1-normalized class means, Euclidean distances, percentile ranks."""
    shares = np.eye(labels.max() + 1)[labels] if labels.ndim == 1 else labels  # (N, K)
    normalized = features / np.abs(features).sum(1, keepdims=True)
    distances = squareform(pdist(shares.T @ normalized / shares.sum(0)[:, None]))
    ranks = np.array([[percentileofscore(row, entry, kind=kind) / 100 for entry in row] for row in distances])
    matrix = (ranks + ranks.T) / 2
    np.fill_diagonal(matrix, 0)
    return matrix, distances
