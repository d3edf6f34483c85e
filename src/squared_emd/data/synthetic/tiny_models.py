"""Very small networks of transformers with random weights, for data that were generated."""

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
)

__all__ = ["tiny_audio_config", "tiny_feature_extractor", "tiny_text_config", "word_tokenizer"]

_LONGEST = 64


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
