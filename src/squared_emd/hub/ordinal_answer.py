"""From the logits of one sample to its distribution over ordered classes, what that comes to, and a decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..decoding import decode

__all__ = ["ordinal_answer"]

_SAME = 1e-9  # of the range of the scores: two classes lie equally near, but for rounding


def ordinal_answer(
    logits: Tensor,
    class_names: Sequence[str],
    *,
    rule: str = "argmax",
    scores: Tensor | None = None,
    ground_distance: Tensor | None = None,
) -> dict[str, Any]:
    """What the pipeline says of one picture.

    With ``p`` the softmax of the logits and ``s`` the scores of the classes: the expected score ``m = sum_i p_i s_i``
    (Hou et al. 2016, section 4.6), its spread ``sqrt(sum_i p_i (s_i - m)^2)``, and the class that
    :func:`squared_emd.decode` gives under a rule. For ``expected`` that is the class whose score lies nearest ``m``;
    of two equally near ones the first.

    Args:
        logits: (K,), any floating dtype; computed in float64.
        class_names: K names.
        rule: ``"argmax"``, ``"median"``, ``"expected"`` or ``"min_distance"``.
        scores: (K,) value of each class, in any unit; default: 0 .. K-1.
        ground_distance: (K, K) D, for ``"min_distance"``.

    Returns:
        ``label`` and ``score``: the class decided for and its probability; ``distribution``: ``label`` and ``score``
        of all K classes, in their order; ``expected_score`` and ``spread``, in the unit of the scores.

    Raises:
        ValueError: a logit is NaN or infinite, or what :func:`squared_emd.decode` raises.

    >>> answer = ordinal_answer(torch.tensor([0.0, 0.0]), ["young", "old"], scores=torch.tensor([20.0, 60.0]))
    >>> answer["label"], answer["score"], answer["expected_score"], answer["spread"]
    ('young', 0.5, 40.0, 20.0)
    """
    probabilities = logits.double().softmax(-1)  # (K,)
    if probabilities.isnan().any():
        raise ValueError(
            "the model must give finite logits, got NaN or infinite ones for a picture. Look for such values in its "
            "weights and in the picture; in half precision they come from an overflow: load it with "
            "dtype=torch.float32."
        )
    values = torch.arange(len(class_names)) if scores is None else scores
    values = values.to(probabilities)
    expected = probabilities @ values
    spread = (probabilities @ (values - expected).square()).sqrt()
    if rule == "expected":
        gaps = (values - expected).abs()
        chosen = (gaps <= gaps.min() + _SAME * (values.max() - values.min())).int().argmax()  # the first of the nearest
    else:
        chosen = decode(probabilities[None], rule, ground_distance=ground_distance)[0]
    shares = probabilities.tolist()
    return {
        "label": class_names[int(chosen)],
        "score": shares[int(chosen)],
        "distribution": [{"label": name, "score": p} for name, p in zip(class_names, shares, strict=True)],
        "expected_score": expected.item(),
        "spread": spread.item(),
    }
