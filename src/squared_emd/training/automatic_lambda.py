"""The automatic lambda of Eq. 16: measured over the end of the jump start, and then fixed."""

from __future__ import annotations

import logging
import math

import torch
import torch.distributed as dist
from torch import Tensor

logger = logging.getLogger(__name__)

_HARDLY_LEARNED = 0.9  # of the cross-entropy of guessing
_STRONG_REWARD = 0.5  # lambda * abs(mu) above which the reward of Eq. 16 made networks over-confident


class AutomaticLambda:
    """Sets the weight of the regularizer so that it is `ratio` times smaller than the cross-entropy.

    ``lambda = sum(cross-entropy) / (ratio * sum(|regularizer|))`` over all samples of the measurement on all ranks
    (Hou et al. 2016, section 4.3).

    >>> measurement = AutomaticLambda(ratio=4)
    >>> measurement.update(torch.tensor([1.0, 3.0]), torch.tensor([-0.5, 0.5]))
    >>> measurement.fix(num_classes=100)  # 4 / (4 * 1)
    1.0
    """

    def __init__(self, ratio: float, device: torch.device | str = "cpu") -> None:
        self.ratio = ratio
        # Of the cross-entropy and the absolute regularizer on this rank, and its number of samples.
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)

    @torch.no_grad()
    def update(self, cross_entropy: Tensor, regularizer: Tensor, finite: Tensor | None = None) -> None:
        """Add the samples (B,) of a batch, or those that are `finite`; the regularizer is the one before its weight."""
        terms = torch.stack([cross_entropy, regularizer.abs(), torch.ones_like(cross_entropy)])  # (3, B)
        if finite is not None:
            terms = torch.where(finite, terms, 0)
        self.sums += terms.sum(1).to(self.sums)

    def fix(self, num_classes: int, mu: float = 0.0) -> float:
        """Give lambda, by one all-reduce of three numbers, and forget the sums; K and mu are for what is warned of."""
        is_distributed = dist.is_available() and dist.is_initialized()
        if is_distributed:
            dist.all_reduce(self.sums)
        cross_entropy, regularizer, samples = self.sums.tolist()
        self.sums.zero_()
        if not (regularizer > 0 and math.isfinite(cross_entropy / regularizer)):
            raise ValueError(
                "the automatic regularizer_weight needs a finite cross-entropy and a regularizer that is not 0 at the "
                f"end of the jump start, got {cross_entropy} and {regularizer}. Give a number for regularizer_weight."
            )
        weight = cross_entropy / (self.ratio * regularizer)
        mean, guessing = cross_entropy / samples, math.log(num_classes)
        is_main_process = not is_distributed or dist.get_rank() == 0
        if is_main_process and mean > _HARDLY_LEARNED * guessing:
            logger.warning(
                "At the end of the jump start the cross-entropy is %.2f, hardly below the %.2f of guessing: the "
                "network has learned next to nothing, and the automatic regularizer_weight of %.3g may outweigh the "
                "cross-entropy. Raise jump_start_epochs or learning_rate.",
                mean,
                guessing,
                weight,
            )
        if is_main_process and weight * -mu > _STRONG_REWARD:
            logger.warning(
                "The automatic regularizer_weight of %.3g rewards p_k^2 of the true class with %.2g "
                "(lambda * abs(mu)): this makes a network over-confident. On photographs of faces the calibration "
                "error rose from 0.02 to 0.17. Ways out: loss='xemd', true_class_cost=1 (or mu=0), or a "
                "regularizer_weight of 1.",
                weight,
                weight * -mu,
            )
        logger.info("regularizer_weight fixed at %.4g at the end of the jump start.", weight)
        return weight
