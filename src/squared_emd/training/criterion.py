"""From arguments to named loss components; owns D, the class centroids and lambda."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..ground_distance.centroids import ClassCentroids
from ..ground_distance.given import blend_ground_distances
from ..ground_distance.learned import (
    MAX_CLASSES_IN_FLOAT64,
    check_ground_distance,
    ground_distance_and_sdd,
    matrix_dtype,
    scale_to_mean_one,
)
from ..losses import upcast_to_float32
from .arguments import EMDTrainingArguments
from .automatic_lambda import AutomaticLambda
from .geometry import Geometry, given_ground_distance
from .loss_components import cost_of, loss_components, regularizer_of
from .targets import Targets

__all__ = ["EMDCriterion"]

logger = logging.getLogger(__name__)

# What of the state is one number, or None.
_NUMBERS = ("epoch", "first_epoch", "step", "jump_start_steps", "regularizer_weight", "sdd", "sdd_relative")


class EMDCriterion(nn.Module):
    """The loss of a run as named components per sample, and what a self-guided loss learns on the way.

    `forward` gives the components whose sum is the loss; `observe` takes the features of a training batch; `end_epoch`
    refreshes D and, at the end of the jump start, fixes lambda.

    Args:
        args: the run's arguments; later changes of their fields count from the next :meth:`read_arguments`.
        num_classes: K.
        class_names: names for messages; default: the class indices.
        ground_distance: (K, K) D, or a `LabelTree`: given in place of those among the arguments.
        device: where the model computes.

    Attributes:
        ground_distance: (K, K) float64 D, or None before the first refresh. Above 4,096 classes it is float32, and the
            next refresh writes over it: copy what you keep.
        known: (K,) bool, the classes D knows.
        targets: holds the weights of the classes.
        regularizer_weight: lambda; None as long as it is still to be measured.
        sdd, sdd_relative: of the last refresh (section 4.7), or None.
        epoch: epochs completed.
        first_epoch: epochs of the run that were over when this criterion began (in a plain Trainer), usually 0.
        step: optimizer steps completed.
        jump_start_steps: of xemd, the step at which the jump start ends; None before training.

    Raises:
        ValueError: a given D is no ground distance for K classes, a given spacing does not have K-1 entries (K on a
            circle), a label tree or class weights are of other classes, or `prior_weight` is given without a D.
    """

    def __init__(
        self,
        args: EMDTrainingArguments,
        num_classes: int,
        *,
        class_names: Sequence[str] | None = None,
        ground_distance: Any = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.are_named = class_names is not None
        self.class_names = [str(name) for name in class_names or range(num_classes)]
        self.centroids = ClassCentroids(num_classes, device)
        self.register_buffer("known", torch.ones(num_classes, dtype=torch.bool))
        self.register_buffer("cost", None)  # (K, K) D^omega + mu, for a-emd and xemd D; float32
        self.to(device)
        self._ground_distance = ground_distance
        self.read_arguments(args)

    def read_arguments(self, args: EMDTrainingArguments) -> None:
        """Check the arguments and follow them from now on, whatever becomes of them; forget all that was learned."""
        args.check_fields()
        self.args = copy.copy(args)
        args = self.args
        vars(args).update({name: list(value) for name, value in vars(args).items() if isinstance(value, list)})
        class_names, device = self.class_names if self.are_named else None, self.known.device
        self.targets = Targets(args, self.num_classes, device)
        self.geometry = Geometry(args, self.num_classes, class_names=class_names, device=device)
        self._given = given_ground_distance(args, self.geometry, self._ground_distance, class_names)
        self._warned: set[int] = set()
        self._made_ground_distance = False  # here, by a refresh
        self._forget_ground_distance()
        self.restart()

    def restart(self) -> None:
        """Forget all that was learned, as before a new run."""
        args = self.args
        self.epoch = self.first_epoch = self.step = 0
        self.jump_start_steps: int | None = None
        self.sdd: float | None = None
        self.sdd_relative: float | None = None
        self.regularizer_weight = args.fixed_regularizer_weight
        device = self.known.device
        self.centroids = ClassCentroids(self.num_classes, device)
        self.automatic_lambda = AutomaticLambda(args.regularizer_ratio, self.centroids.device)
        if not args.is_self_guided and self.ground_distance is not None:
            return  # Nothing of D was learned.
        self._forget_ground_distance()
        if self._given is not None:
            matrix, source = self._given
            self._take(matrix, source=source)

    def adopt(self, matrix: Tensor | None, emd: Mapping[str, Any]) -> None:
        """Take D and lambda of a model that was saved, so that it can be evaluated; training restarts.

        The loss a-emd keeps this D in training, too.

        Args:
            matrix: (K, K) the model's D; None: it has none, and nothing happens.
            emd: the `emd` block of its config, for a self-guided loss one of the same loss.

        Raises:
            ValueError: the loss is a-emd, and there is no D here nor among the arguments.
        """
        weight = emd.get("regularizer_weight")
        fits = matrix is not None and weight is not None and emd.get("loss") == self.args.loss
        if self.args.is_self_guided and fits:
            if self.learns_ground_distance:
                self._take(matrix, source="the model's config")
            self.regularizer_weight, self.epoch = float(weight), self.args.jump_start_epochs
            self.jump_start_steps = 0
        if self.args.loss == "a-emd" and self.ground_distance is None:
            if matrix is None:
                raise ValueError(
                    "the loss a-emd needs a ground distance: give ground_distance, a file with a (K, K) matrix or the "
                    "folder of an xemd2 run, or a model that was saved with one."
                )
            self._take(matrix, source="the model's config")

    def _take(self, given: Tensor, *, source: str) -> None:
        """Use a given D."""
        check_ground_distance(given, self.num_classes, source=source)
        known = _known_to(given)
        if self.args.loss == "a-emd" and not known.all():
            unknown = [self.class_names[k] for k in (~known).nonzero().flatten().tolist()]
            raise ValueError(
                f"{source} has no distances for the classes {unknown}, which nothing was seen of where it was learned; "
                "to the loss a-emd they would be free. Give a ground distance of all classes."
            )
        self.known = known.to(self.known.device)
        self._set_ground_distance(given)

    @property
    def learns_ground_distance(self) -> bool:
        """Whether D is estimated from the network's features."""
        return self.args.is_self_guided and (self._given is None or self.args.prior not in (None, (1, 1)))

    @property
    def is_given_ground_distance(self) -> bool:
        """Whether the run was given a D, which it may blend with a learned one."""
        return self._given is not None

    @property
    def in_jump_start(self) -> bool:
        """Whether lambda is 0 because the jump start (section 4.3) is not over."""
        if self.args.loss == "xemd":
            return self.jump_start_steps is None or self.step < self.jump_start_steps
        return self.args.is_self_guided and self.epoch < self.args.jump_start_epochs

    def has_only_jump_start(self, epochs: float) -> bool:
        """Whether no step so far had a regularizer, though later ones will.

        Args:
            epochs: completed by the run, those before this criterion began included.
        """
        if self.args.loss == "xemd":
            return self.jump_start_steps is None or self.step <= self.jump_start_steps
        return self.args.is_self_guided and epochs <= self.first_epoch + self.args.jump_start_epochs

    def forward(self, logits: Tensor, labels: Tensor, finite: Tensor | None = None) -> dict[str, Tensor]:
        """The components of the loss, per sample; the loss is their sum.

        Args:
            logits: (B, K) scores; (B, 1) or (B,) outputs for `reg`.
            labels: (B,) class indices (or scores for `reg`), or (B, K) target distributions.
            finite: (B,) bool, the samples that count where lambda is measured. Default: all.

        Returns:
            `xe`: `ce`. `reg`: `mse`. `emd`, `a-emd`: `emd`. Self-guided: `ce`, and after the jump start `emd`, the
            weighted regularizer. Each (B,).

        Raises:
            ValueError: shapes or labels are not as above.
        """
        logits = upcast_to_float32(logits)  # once: the gradients of the components are added before they are rounded
        weights, labels = self.targets.weights_of(labels), self.targets.smoothed(labels)
        components = loss_components(
            self.args, self.geometry, logits, labels, cost=self.cost, weight=self.regularizer_weight_in_force
        )
        if weights is not None:
            components = {name: values * weights for name, values in components.items()}
        if self.training and self._measures_lambda:
            with torch.no_grad():
                regularizer = regularizer_of(self.args, logits, labels, self.cost)
            regularizer = regularizer if weights is None else regularizer * weights
            self.automatic_lambda.update(components["ce"], regularizer, finite)
        return components

    @property
    def regularizer_weight_in_force(self) -> float | None:
        """Lambda; None in the jump start, and as long as there is no D."""
        return None if self.in_jump_start or self.cost is None else self.regularizer_weight

    @property
    def _measures_lambda(self) -> bool:
        """Whether this is the last epoch of the jump start of a run with the automatic lambda, and D is there."""
        return self._ends_jump_start and self.regularizer_weight is None and self.cost is not None

    @property
    def _ends_jump_start(self) -> bool:
        """Whether this epoch is the last one of the jump start."""
        return self.in_jump_start and self.epoch + 1 == self.args.jump_start_epochs

    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Add the features of a training batch to the running class centroids.

        Args:
            features: (B, d) inputs of the classifier head.
            labels: (B,) class indices or (B, K) target distributions.
        """
        self.centroids.update(features, labels)

    def begin(self, step: int, total_steps: int) -> None:
        """Fix the jump start of xemd where it is not known from a checkpoint.

        Args:
            step: optimizer steps completed.
            total_steps: of the run.
        """
        self.step = step
        if self.args.loss == "xemd" and self.jump_start_steps is None:
            steps = self.args.jump_start_ratio * (total_steps - step)
            self.jump_start_steps = step + math.ceil(steps - 1e-6)  # 0.1 * 30 is more than 3

    def end_step(self, step: int) -> None:
        """Refresh D at the end of the jump start of xemd, and every `ground_distance_update_steps` steps.

        Args:
            step: optimizer steps completed.
        """
        self.step, every = step, self.args.ground_distance_update_steps
        ends_jump_start = self.jump_start_steps is not None and step == max(self.jump_start_steps, 1)
        if ends_jump_start or (every is not None and step % every == 0):
            self.refresh(end_epoch=False)

    def refresh(self, *, end_epoch: bool = True) -> None:
        """Estimate D from the features of the epoch so far, on all ranks (Eq. 2, 12 and 13).

        Args:
            end_epoch: the next features are those of another epoch.
        """
        if not self.learns_ground_distance:
            return
        local = None  # the running sums of this rank, which go on where the epoch does
        if not end_epoch and self.centroids.class_sums is not None:
            local = self.centroids.class_sums.clone(), self.centroids.class_counts.clone()
        self.centroids.all_reduce()
        self.centroids.refresh(reset=end_epoch)
        if local is not None:
            self.centroids.class_sums, self.centroids.class_counts = local
        known, is_energy_distance = self.centroids.known, self.args.loss == "xemd"
        for k in (~known).nonzero().flatten().tolist():
            if k not in self._warned and self._given is None and (end_epoch or not is_energy_distance):
                self._warned.add(k)
                logger.warning(
                    "Class %r has had no sample yet: its ground distances are unknown, so the regularizer %s until one "
                    "comes.",
                    self.class_names[k],
                    "takes the mean distance for them" if is_energy_distance else "neither pushes nor rewards it",
                )
        if self.centroids.centroids is None:
            return
        # A large D is written over the earlier one, but never over one that was given.
        earlier = self.ground_distance if self._made_ground_distance and self._given is None else None
        matrix, self.sdd, self.sdd_relative = ground_distance_and_sdd(
            self.centroids.centroids, rank=self.args.ranks, known=known, out=earlier
        )
        if is_energy_distance:
            scale_to_mean_one(matrix, known)
        if self._given is not None:
            epochs = max(self.epoch - 1, 0) if end_epoch else self.epoch
            weight, decay = self.args.prior
            given = self._given[0]
            unit = given.max().clamp_min(torch.finfo(given.dtype).tiny)  # 1, but for xemd, whose mean is 1
            matrix = unit * blend_ground_distances(given, matrix / unit, weight * decay**epochs, known=known)
            known = _known_to(matrix)
        self.known = known.to(self.known.device)
        self._set_ground_distance(matrix)
        self._made_ground_distance = True

    def end_epoch(self) -> None:
        """Refresh D; at the end of the jump start fix lambda if it is automatic.

        Raises:
            ValueError: lambda is to be fixed, and the regularizer measured 0 or NaN.
        """
        ends_jump_start = self._ends_jump_start
        self.epoch += 1
        self.refresh()
        if ends_jump_start and self.regularizer_weight is None:
            rewards = self.args.true_class_cost is None
            mu = self.args.self_guided_parameters()[1] if rewards else 0.0
            self.regularizer_weight = self.automatic_lambda.fix(int(self.known.sum()), mu)

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as tensors; the running sums are those of this rank alone.

        With more than 4,096 classes D, centroids and sums are not copied: save them before the next batch.

        Returns:
            Tensors by name, to be given to :meth:`load_state`.
        """
        copies = self.num_classes <= MAX_CLASSES_IN_FLOAT64
        state = {f"centroids.{name}": tensor for name, tensor in self.centroids.state_dict(copy=copies).items()}
        state["measured"] = self.automatic_lambda.sums.clone()
        state["is_self_guided"] = torch.tensor(self.args.is_self_guided)
        state["loss"] = torch.tensor(list(self.args.loss.encode()), dtype=torch.uint8)
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None:
                state[name] = torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)
        if self.ground_distance is not None:
            state["ground_distance"] = self.ground_distance.clone() if copies else self.ground_distance
            state["known"] = self.known.clone()
        return state

    def can_load(self, state: dict[str, Tensor]) -> bool:
        """Whether a state is of a run with the same loss; of one from before losses were saved, whether it has a D."""
        if "loss" in state:
            return bytes(state["loss"].tolist()).decode() == self.args.loss
        return bool(state["is_self_guided"]) or not self.args.is_self_guided

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state` gave, and forget all else; a lambda among the arguments stays.

        Args:
            state: its result, from a run with as many classes and, as :meth:`can_load` says, the same loss.

        Raises:
            ValueError: it is of another number of classes.
        """
        self.centroids.load_state_dict(
            {name.removeprefix("centroids."): tensor for name, tensor in state.items() if "centroids." in name}
        )
        self.automatic_lambda.sums = state["measured"].to(self.centroids.device).clone()
        for name in _NUMBERS:
            setattr(self, name, state[name].item() if name in state else None)
        self.step = self.step or 0  # which earlier versions did not count
        if self.args.fixed_regularizer_weight is not None or self.in_jump_start:  # where it is still to be measured
            self.regularizer_weight = self.args.fixed_regularizer_weight
        if not self.args.is_self_guided:
            return  # it keeps the D it was given
        if "ground_distance" in state:
            self.known = state["known"].to(self.known.device)
            self._set_ground_distance(state["ground_distance"])
        else:
            self._forget_ground_distance()

    def _forget_ground_distance(self) -> None:
        self.ground_distance, self.cost, self.known = None, None, torch.ones_like(self.known)
        self.targets.follow(None, self.known)

    def _set_ground_distance(self, ground_distance: Tensor) -> None:
        self.ground_distance = ground_distance.to(self.centroids.device, matrix_dtype(self.num_classes))
        self._made_ground_distance = False
        self.targets.follow(self.ground_distance, self.known)
        if self.args.uses_ground_distance:
            self.cost = cost_of(self.args, self.ground_distance, self.known, earlier=self.cost)


def _known_to(ground_distance: Tensor) -> Tensor:
    """(K,) bool: a class whose distances are all 0 was never seen where D was learned."""
    return ground_distance.any(0) | ~ground_distance.any()
