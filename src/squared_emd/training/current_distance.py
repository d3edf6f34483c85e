"""The ground distance of a run: given, learned from the network's features or a blend of both, and its cost."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ground_distance.centroids import ClassCentroids
from ..ground_distance.given import blend_ground_distances
from ..ground_distance.learned import (
    MAX_CLASSES_IN_FLOAT64,
    check_ground_distance,
    ground_distance_and_sdd,
    matrix_dtype,
    scale_to_mean_one,
)
from ..losses import check_labels, ground_distance_cost
from ..targets import smoothing_kernel, spread
from .arguments import EMDTrainingArguments

logger = logging.getLogger(__name__)


class CurrentDistance:
    """The D that is in force, what it is learned from, and what the loss has of it."""

    def __init__(
        self,
        args: EMDTrainingArguments,
        given: tuple[Tensor, str] | None,
        class_names: Sequence[str],
        device: torch.device,
    ) -> None:
        self.args = args
        self.given = given  # (K, K) D and its name in messages
        self.class_names = class_names
        self.device = device
        self._warned: set[int] = set()
        self._forget()
        self.restart()

    def restart(self) -> None:
        """Forget all that was learned, as before a new run."""
        self.centroids = ClassCentroids(len(self.class_names), self.device)
        self.sdd: float | None = None  # of the last refresh (section 4.7)
        self.sdd_relative: float | None = None
        if self.args.is_self_guided:  # The D that a-emd has taken from a model was not learned.
            self._forget()
        if self.given is not None:
            self.take(*self.given)

    def _forget(self) -> None:
        self.matrix: Tensor | None = None  # (K, K) D
        self.cost: Tensor | None = None  # (K, K) float32: D^omega + mu of Eq. 16, or D itself for a-emd and xemd
        self._kernel: Tensor | None = None  # (K, K) how labels are smoothed by D
        self.known = torch.ones(len(self.class_names), dtype=torch.bool, device=self.device)  # the classes D knows

    def take(self, matrix: Tensor, source: str) -> None:
        """Use a (K, K) D; raise a ValueError, which calls it `source`, if it does not fit the classes or the loss."""
        check_ground_distance(matrix, len(self.class_names), source=source)
        known = _known_to(matrix)
        if self.args.loss == "a-emd" and not known.all():
            unknown = [self.class_names[k] for k in (~known).nonzero().flatten().tolist()]
            raise ValueError(
                f"{source} has no distances for the classes {unknown}, which nothing was seen of where it was learned; "
                "to the loss a-emd they would be free. Give a ground distance of all classes."
            )
        self._set(matrix, known)

    @property
    def is_learned(self) -> bool:
        """Whether D is estimated from the network's features."""
        return self.args.is_self_guided and (self.given is None or self.args.prior not in (None, (1, 1)))

    def refresh(self, epoch: int, *, end_epoch: bool) -> None:
        """Estimate D from the features of the running epoch, after `epoch` others, on all ranks (Eq. 2, 12 and 13).

        With `end_epoch` the next features are those of another epoch.
        """
        if not self.is_learned:
            return
        centroids, is_energy_distance = self.centroids, self.args.loss == "xemd"
        local = None  # the running sums of this rank, which go on where the epoch does
        if not end_epoch and centroids.class_sums is not None:
            local = centroids.class_sums.clone(), centroids.class_counts.clone()
        centroids.all_reduce()
        centroids.refresh(reset=end_epoch)
        if local is not None:
            centroids.class_sums, centroids.class_counts = local
        if self.given is None and (end_epoch or not is_energy_distance):
            self._warn_of_unseen_classes(
                "takes the mean distance for them" if is_energy_distance else "neither pushes nor rewards it"
            )
        if centroids.centroids is None:
            return
        known = centroids.known
        # A large D is written over the earlier one, but never over one that was given.
        matrix, self.sdd, self.sdd_relative = ground_distance_and_sdd(
            centroids.centroids, rank=self.args.ranks, known=known, out=self.matrix if self.given is None else None
        )
        if is_energy_distance:
            scale_to_mean_one(matrix, known)
        if self.given is not None:
            weight, decay = self.args.prior
            given = self.given[0]
            unit = given.max().clamp_min(torch.finfo(given.dtype).tiny)  # 1, but for xemd, whose mean is 1
            matrix = unit * blend_ground_distances(given, matrix / unit, weight * decay**epoch, known=known)
            known = _known_to(matrix)
        self._set(matrix, known)

    def smoothed(self, labels: Tensor) -> Tensor:
        """The labels after `label_smoothing_factor`: (B, K) float32, or as they are without it."""
        share, temperature = self.args.label_smoothing_factor, self.args.label_smoothing_temperature
        num_classes = len(self.class_names)
        if not share:
            return labels
        labels = check_labels(labels, len(labels), num_classes)
        if self._kernel is None and temperature is not None and self.matrix is not None:
            self._kernel = smoothing_kernel(self.matrix.to(self.device), temperature, known=self.known)
        if self._kernel is not None:
            return spread(labels, self._kernel, share)
        if labels.dim() == 1:
            labels = F.one_hot(labels.long(), num_classes)
        return labels.to(self.device, torch.float32) * (1 - share) + share / num_classes

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs; above 4,096 classes the tensors are those that the next batch changes."""
        copies = len(self.class_names) <= MAX_CLASSES_IN_FLOAT64
        state = {f"centroids.{name}": tensor for name, tensor in self.centroids.state_dict(copy=copies).items()}
        if self.matrix is not None:
            state["ground_distance"] = self.matrix.clone() if copies else self.matrix
            state["known"] = self.known.clone()
        return state

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state` gave; a loss that learns no D keeps its own."""
        self.centroids.load_state_dict(
            {name.removeprefix("centroids."): tensor for name, tensor in state.items() if "centroids." in name}
        )
        if self.args.is_self_guided:
            self._forget()
            if "ground_distance" in state:
                self._set(state["ground_distance"], state["known"])

    def _warn_of_unseen_classes(self, effect: str) -> None:
        for k in (~self.centroids.known).nonzero().flatten().tolist():
            if k not in self._warned:
                self._warned.add(k)
                logger.warning(
                    "Class %r has had no sample yet: its ground distances are unknown, so the regularizer %s until one "
                    "comes.",
                    self.class_names[k],
                    effect,
                )

    def _set(self, matrix: Tensor, known: Tensor) -> None:
        self.matrix = matrix.to(self.centroids.device, matrix_dtype(len(matrix)))
        self.known = known.to(self.device)
        self._kernel = None
        if self.args.uses_ground_distance:
            self.cost = self._cost()

    def _cost(self) -> Tensor:
        args = self.args
        if args.loss in ("a-emd", "xemd"):
            cost = self.matrix.to(self.device, torch.float32)
            if args.loss == "xemd" and not self.known.all():  # The mean distance stands for unknown ones.
                cost = torch.where(self.known.outer(self.known), cost, 1).fill_diagonal_(0)
            return cost
        omega, mu = args.self_guided_parameters()
        earlier = self.cost  # That of many classes is written over.
        if earlier is None or len(self.matrix) <= MAX_CLASSES_IN_FLOAT64:
            earlier = torch.empty(self.matrix.shape, dtype=torch.float32, device=self.device)
        return ground_distance_cost(
            self.matrix, omega=omega, mu=mu, known=self.known.to(self.matrix.device), out=earlier
        )


def _known_to(matrix: Tensor) -> Tensor:
    """(K,) bool: a class whose distances are all 0 was never seen where D was learned."""
    return matrix.any(0) | ~matrix.any()
