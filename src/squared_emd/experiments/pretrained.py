"""Networks of transformers for texts and sounds: saved ones with a new head, or very small ones with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from .experiment import Network, Samples

__all__ = ["TINY", "load_pretrained", "transformers_network"]

TINY = "tiny"


def load_pretrained(load: Callable[[str], Any], model: str) -> Any:
    """What `from_pretrained` of a class gives for a model.

    Args:
        load: `from_pretrained` of a class for tokenizers, feature extractors or the like.
        model: a Hub name or a folder.

    Raises:
        ValueError: it is not there, and cannot be fetched.
    """
    try:
        return load(model)
    except OSError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(
            f"model must be a folder with a saved model, or a model of the Hub that can be fetched; {model} could not "
            f"be loaded: {reason}. Check the name and the connection, or give --model {TINY}, which needs no download: "
            "a very small network with random weights."
        ) from error


def transformers_network(
    auto_class: Any,
    processor: Any,
    data_collator: Callable[[list], dict[str, Any]],
    *,
    tiny_config: Callable[..., PretrainedConfig],
    class_names: Sequence[str],
    score_name: str,
) -> Callable[[str, Samples, int], Network]:
    """What builds a classifier of a pre-trained model, or of `tiny`: an `Experiment.build`.

    Args:
        auto_class: as `AutoModelForSequenceClassification`.
        processor: the tokenizer or feature extractor of the model.
        data_collator: makes a batch of rows.
        tiny_config: (fields of the config) -> config of the network `tiny`.
        class_names: the K classes in order.
        score_name: what the one output of a regression is called.
    """

    def build(model: str, samples: Samples, num_outputs: int) -> Network:
        names = class_names if num_outputs == len(class_names) else [score_name]
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}
        if model == TINY:
            network = auto_class.from_config(tiny_config(**labels))
        else:
            config = load_pretrained(lambda name: AutoConfig.from_pretrained(name, **labels), model)
            if getattr(config, "pad_token_id", None) is None and hasattr(processor, "pad_token_id"):
                config.pad_token_id = processor.pad_token_id  # a decoder looks for the last token by it
            network = auto_class.from_pretrained(model, config=config, ignore_mismatched_sizes=True)
        return Network(network, processor, data_collator=data_collator)

    return build
