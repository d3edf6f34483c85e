"""Networks of a table of runs: image classifiers, saved ones of transformers, and tiny ones with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    AutoConfig,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
)

from ..ground_distance.model_config import emd_block_of
from .arguments import ImageArguments
from .experiment import Network, Samples

TINY = "tiny"
_LONGEST = 64  # tokens of a text that the tiny network reads


def image_network(
    args: ImageArguments, *, train_view: Callable[..., Callable[[Any], Any]] | None = None
) -> Callable[[str, Samples, int], Network]:
    """What builds an image classifier, whose test averages the image with the flipped one: an `Experiment.build`.

    `train_view`: (size, mean, std) -> transform of an image, in training; the paper's by default.
    """
    from ..vision.networks import load_image_classifier  # It needs an extra, which texts do without.
    from ..vision.transforms import EvalTransform, TrainTransform, average_flips, with_views

    def build(model: str, samples: Samples, num_outputs: int) -> Network:
        regresses = num_outputs == 1
        network = load_image_classifier(
            model, samples.class_names, num_outputs=1 if regresses else None, from_scratch=args.from_scratch
        )
        average_flips(network.model)
        kinds = (train_view or TrainTransform, EvalTransform)
        views = [view(network.size, network.mean, network.std) for view in kinds]
        used = max(getattr(view, "shorter_side", 0) for view in views)
        if args.small_pictures is not None and args.small_pictures < used:
            raise ValueError(
                f"small_pictures must be at least {used} for {model}, whose views have {network.size} pixels and show "
                f"a part of the image; got {args.small_pictures}."
            )
        network = network.with_central_crop(views[1].crop)
        if samples.class_scores is not None:
            scores = [float(score) for score in samples.class_scores]
            network.model.config.emd = emd_block_of(network.model.config) | {"scores": scores}
        train_rows, eval_rows = (
            lambda rows, view=view: with_views(rows, view, label_column=samples.label_column) for view in views
        )
        return Network(network.model, network.processor, train_rows, eval_rows)

    return build


def transformers_network(
    auto_class: Any,
    processor: Any,
    data_collator: Callable[[list], dict[str, Any]],
    *,
    tiny_config: Callable[..., PretrainedConfig],
    score_name: str,
) -> Callable[[str, Samples, int], Network]:
    """What builds a classifier of a pre-trained model, or of `tiny`: an `Experiment.build`.

    `auto_class` is one as `AutoModelForSequenceClassification`, `processor` the tokenizer or feature extractor of the
    model; `tiny_config` makes the config of the tiny one from its fields; `score_name` names a regression's output.
    """

    def build(model: str, samples: Samples, num_outputs: int) -> Network:
        names = samples.class_names if num_outputs == len(samples.class_names) else [score_name]
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


def load_pretrained(load: Callable[[str], Any], model: str) -> Any:
    """What `from_pretrained` of a class gives for a Hub name or a folder; a ValueError where it cannot be had."""
    try:
        return load(model)
    except OSError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(
            f"model must be a folder with a saved model, or a model of the Hub that can be fetched; {model} could not "
            f"be loaded: {reason}. Check the name and the connection, or give --model {TINY}, which needs no download: "
            "a very small network with random weights."
        ) from error


def word_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are the words of some texts, in the order of the alphabet, padding and unknown words.

    >>> word_tokenizer(["so so", "good."])("Good so what")["input_ids"]
    [3, 4, 1]
    """
    splitter = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text.lower())})
    vocabulary = {token: k for k, token in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), splitter
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=_LONGEST
    )


def tiny_text_config(tokenizer: PreTrainedTokenizerFast, **fields: Any) -> PretrainedConfig:
    """A transformer of two layers over the tokens of `word_tokenizer`; `fields` are of the config, as `id2label`."""
    return DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=_LONGEST,
        n_layers=2,
        n_heads=4,
        dim=64,
        hidden_dim=128,
        pad_token_id=tokenizer.pad_token_id,
        **fields,
    )


def tiny_audio_config(**fields: Any) -> PretrainedConfig:
    """Three convolutions over a wave and a transformer of one layer; `fields` are of the config, as `id2label`."""
    return Wav2Vec2Config(
        hidden_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=96,
        conv_dim=(24, 32, 48),
        conv_kernel=(10, 8, 8),
        conv_stride=(5, 4, 4),
        num_feat_extract_layers=3,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        classifier_proj_size=32,
        hidden_dropout=0.0,
        feat_proj_dropout=0.0,
        attention_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.0,
        apply_spec_augment=False,
        **fields,
    )


def tiny_feature_extractor(sampling_rate: int) -> Wav2Vec2FeatureExtractor:
    """What makes inputs of sounds for the same; it leaves their loudness alone."""
    return Wav2Vec2FeatureExtractor(sampling_rate=sampling_rate, do_normalize=False, return_attention_mask=False)
