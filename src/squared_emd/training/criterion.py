"""From arguments to named loss components; owns D, the class centroids, lambda and the weights of the classes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..losses import (
    check_labels,
    cross_entropy_loss,
    energy_distance_loss,
    entropic_wasserstein_loss,
    regression_loss,
    sample_weights,
    self_guided_regularizer,
    upcast_to_float32,
)
from ..targets import class_weights_from_counts
from .arguments import JUMP_START_EPOCHS, EMDTrainingArguments
from .automatic_lambda import AutomaticLambda
from .current_distance import CurrentDistance
from .geometry import Geometry
from .jump_start import JumpStart

logger = logging.getLogger(__name__)


class EMDCriterion(nn.Module):
    """The loss of a run as named components per sample, and what a self-guided loss learns on the way.

    `forward` gives the components whose sum is the loss; `observe` takes the features of a training batch; `end_step`
    and `end_epoch` refresh D and, at the end of the jump start, fix lambda.
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
        self.class_names = [str(name) for name in class_names or range(num_classes)]
        self.device = torch.device(device)
        self._names_of_model = None if class_names is None else self.class_names
        self._given = ground_distance
        self.read_arguments(args)

    def read_arguments(self, args: EMDTrainingArguments) -> None:
        """Check the arguments and follow them from now on, whatever becomes of them; forget all that was learned."""
        args.check_fields()
        if self.num_classes < 2 and args.loss != "reg":
            raise ValueError(
                f"the loss {args.loss} needs at least 2 classes, got {self.num_classes}, of which it is always 0. Load "
                "the model with num_labels=K, the number of classes, or take the loss reg, whose one output is a score."
            )
        self.args = args = copy.copy(args)
        vars(args).update({name: list(value) for name, value in vars(args).items() if isinstance(value, list)})
        self.class_weights: Tensor | None = None  # (K,) weight of a sample of each class; None: 1, or not yet counted
        if args.class_weights is not None and args.weights_by_count is None:
            if len(args.class_weights) != self.num_classes and args.loss != "reg":
                raise ValueError(
                    f"class_weights must hold {self.num_classes} numbers, one a class, got {len(args.class_weights)}."
                )
            self._set_class_weights([float(weight) for weight in args.class_weights])
        self.geometry = Geometry(args, self.num_classes, self._given, self._names_of_model, self.device)
        self.distance = CurrentDistance(args, self.geometry.given_ground_distance(), self.class_names, self.device)
        self.restart()

    def restart(self) -> None:
        """Forget all that was learned, as before a new run."""
        self.epoch = 0  # completed
        self.first_epoch = 0  # epochs of the run that were over when this criterion began, in a plain Trainer
        self.jump_start = JumpStart(self.args, is_given=self.distance.given is not None)
        self.regularizer_weight = self.args.fixed_regularizer_weight  # lambda; None: it is still to be measured
        self.distance.restart()
        self.automatic_lambda = AutomaticLambda(self.args.regularizer_ratio, self.distance.centroids.device)

    def count_classes(self, counts: Sequence[float]) -> None:
        """Set the class weights that the arguments derive from counts: (K,) samples, or sums of soft labels."""
        if self.args.weights_by_count is not None:
            scheme, beta = self.args.weights_by_count
            self._set_class_weights(class_weights_from_counts(counts, scheme, beta=beta))

    def _set_class_weights(self, class_weights: Sequence[float] | Tensor) -> None:
        self.class_weights = torch.as_tensor(class_weights, dtype=torch.float32, device=self.device)

    def adopt(self, matrix: Tensor | None, emd: Mapping[str, Any]) -> None:
        """Take the D and, by its `emd` block, the lambda of a model that was saved, so that it can be evaluated.

        Training restarts; but the loss a-emd keeps this D in training, too.
        """
        weight = emd.get("regularizer_weight")
        fits = matrix is not None and weight is not None and emd.get("loss") == self.args.loss
        if self.args.is_self_guided and fits:
            if self.learns_ground_distance:
                self.distance.take(matrix, "the model's config")
            self.regularizer_weight, self.jump_start.last_step = float(weight), 0
        if self.args.loss == "a-emd" and self.ground_distance is None:
            if matrix is None:
                raise ValueError(
                    "the loss a-emd needs a ground distance: give ground_distance, a file with a (K, K) matrix or the "
                    "folder of an xemd2 run, or a model that was saved with one."
                )
            self.distance.take(matrix, "the model's config")

    @property
    def ground_distance(self) -> Tensor | None:
        """(K, K) float64 D, or None before the first refresh.

        Above 4,096 classes it is float32, and the next refresh writes over it: copy what you keep.
        """
        return self.distance.matrix

    @property
    def learns_ground_distance(self) -> bool:
        return self.distance.is_learned

    @property
    def num_label_classes(self) -> int | None:
        """K, or None where labels are scores."""
        return None if self.args.loss == "reg" else self.num_classes

    def forward(self, logits: Tensor, labels: Tensor, finite: Tensor | None = None) -> dict[str, Tensor]:
        """The components of the loss, each (B,): `ce`, `emd`, the weighted regularizer, or `mse`.

        Only `finite` (B,) samples count where lambda is measured; under the `nan_policy` skip the loss of others is 0.
        """
        logits = upcast_to_float32(logits)  # once: the gradients of the components are added before they are rounded
        skips = finite is not None and self.args.nan_policy == "skip"
        if skips:
            logits = torch.where(finite.view(-1, *[1] * (logits.dim() - 1)), logits, 0)
        weights = self._weights_of(labels)  # (B,)
        labels = self.distance.smoothed(labels)
        components = self._components(logits, labels)
        if weights is not None:
            components = {name: values * weights for name, values in components.items()}
        if self.training and self.jump_start.is_measured and self.distance.cost is not None:
            with torch.no_grad():
                regularizer = self._regularizer(logits, labels)
            regularizer = regularizer if weights is None else regularizer * weights
            self.automatic_lambda.update(components["ce"], regularizer, finite)
        return {name: torch.where(finite, values, 0) for name, values in components.items()} if skips else components

    def _weights_of(self, labels: Tensor) -> Tensor | None:
        """(B,) the weight of each sample, or None if all are 1."""
        if self.class_weights is None:
            return None
        if labels.dim() == 1 and labels.is_floating_point():
            raise ValueError(
                "class_weights need class indices as labels, got real-valued scores. Leave class_weights out."
            )
        labels = check_labels(labels, len(labels), len(self.class_weights))
        return sample_weights(labels.to(self.device), self.class_weights)

    def _components(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The components, each (B,), before class weights."""
        args, distance = self.args, self.distance
        if args.loss == "reg":
            return {"mse": regression_loss(logits, labels, reduction="none")}
        if args.loss == "emd":
            return {"emd": self.geometry.loss(logits, labels)}
        if args.loss == "a-emd":
            options = {"strength": args.entropic_strength, "iterations": args.sinkhorn_iterations}
            return {"emd": entropic_wasserstein_loss(logits, labels, distance.cost.T, **options, reduction="none")}
        weight = self.regularizer_weight
        if self.jump_start.is_running or distance.cost is None or not weight:
            return {"ce": cross_entropy_loss(logits, labels, reduction="none")}
        entropy = cross_entropy_loss(logits, labels, eps=1e-6, reduction="none")  # eps: section 4.1
        return {"ce": entropy, "emd": weight * self._regularizer(logits, labels)}  # Eq. 16

    def _regularizer(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,) the regularizer of a self-guided loss, before lambda."""
        cost = self.distance.cost
        if self.args.loss == "xemd":
            return energy_distance_loss(logits, labels, cost, reduction="none")
        # D is symmetric: transposed, the columns of the labels are contiguous rows.
        options = {"true_class_cost": self.args.true_class_cost, "reduction": "none"}
        return self_guided_regularizer(logits, labels, cost.T, **options)

    def figures(self) -> dict[str, float]:
        """What the log says of D and lambda, as far as they are known and in force."""
        if not self.args.is_self_guided:
            return {}
        weight = None if self.jump_start.is_running else self.regularizer_weight
        distance = self.distance
        values = {"regularizer_weight": weight, "sdd": distance.sdd, "sdd_relative": distance.sdd_relative}
        return {name: value for name, value in values.items() if value is not None}

    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Add the features (B, d) of a training batch to the running class centroids."""
        self.distance.centroids.update(features, labels)

    def begin(self, step: int, total_steps: int, epoch_steps: int | None = None) -> None:
        """Fix when the jump start ends, where no checkpoint says so, as :meth:`JumpStart.begin`."""
        self.jump_start.begin(step, total_steps, epoch_steps, first_epoch=self.first_epoch, epoch=self.epoch)
        if self.jump_start.is_running:
            self.regularizer_weight = self.args.fixed_regularizer_weight  # it is still to be measured

    def end_step(self, step: int, *, ends_epoch: bool = False) -> None:
        """Refresh D and fix lambda where they are due after so many steps; :meth:`end_epoch` does at the end of one."""
        every = self.args.ground_distance_update_steps
        is_due = every is not None and step % every == 0
        if not ends_epoch and self.jump_start.reach(step, has_distance=self.ground_distance is not None):
            is_due = True
        if is_due:
            self.refresh(end_epoch=False)
        self._fix_regularizer_weight()

    def refresh(self, *, end_epoch: bool = True) -> None:
        """Estimate D from the features of the epoch so far, as :meth:`CurrentDistance.refresh`."""
        self.distance.refresh(self.epoch, end_epoch=end_epoch)

    def end_epoch(self, step: int) -> None:
        """Refresh D after so many optimizer steps; at the end of the jump start fix lambda if it is automatic."""
        self.refresh()
        self.epoch += 1
        self.jump_start.end_epoch(step, self.epoch)
        self._fix_regularizer_weight()

    def _fix_regularizer_weight(self) -> None:
        if self.args.is_self_guided and not self.jump_start.is_running and self.regularizer_weight is None:
            rewards = self.args.true_class_cost is None
            mu = self.args.self_guided_parameters()[1] if rewards else 0.0
            self.regularizer_weight = self.automatic_lambda.fix(int(self.distance.known.sum()), mu)

    @property
    def _numbers(self) -> list[tuple[Any, str]]:
        """What of the state is one number, or None: the owner and the name."""
        names = {
            self: ("epoch", "first_epoch", "regularizer_weight"),
            self.jump_start: ("step", "last_step", "measurement_start"),
            self.distance: ("sdd", "sdd_relative"),
        }
        return [(owner, name) for owner in names for name in names[owner]]

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as tensors by name; the running sums are those of this rank alone.

        With more than 4,096 classes D, centroids and sums are not copied: save them before the next batch.
        """
        state = self.distance.state()
        state["measured"] = self.automatic_lambda.sums.clone()
        state["loss"] = torch.tensor(list(self.args.loss.encode()), dtype=torch.uint8)
        for owner, name in self._numbers:
            value = getattr(owner, name)
            if value is not None:
                state[name] = torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)
        return state

    def resume(self, state: dict[str, Tensor] | None, epochs: int, source: str | None = None) -> bool:
        """Take over what :meth:`state` gave, but for a lambda among the arguments, and forget all else.

        Without a state, or with one of another loss, what is learned starts empty after so many epochs, with a warning
        that names the `source` if it is not None; then it returns False.
        """
        if state is None:
            fits = False
        elif "loss" in state:
            fits = bytes(state["loss"].tolist()).decode() == self.args.loss
        else:  # of commit 5c0dc70
            fits = bool(state["is_self_guided"]) or not self.args.is_self_guided
        if not fits:
            self.restart()
            self.first_epoch = epochs
            if self.args.is_self_guided and source is not None:
                logger.warning(
                    "%s was not written by a run of EMDTrainer with the loss %s: its weights and optimizer are taken "
                    "over, the ground distance starts empty and the jump start begins now.",
                    source,
                    self.args.loss,
                )
            return False
        self.distance.load_state(state)
        self.automatic_lambda.sums = state["measured"].to(self.automatic_lambda.sums.device).clone()
        for owner, name in self._numbers:
            setattr(owner, name, state[name].item() if name in state else None)
        if "step" not in state:  # of commit 5c0dc70, whose jump start was counted in epochs
            length = self.args.jump_start_epochs
            self.jump_start.step = 0
            self.jump_start.last_step = 0 if self.epoch >= (JUMP_START_EPOCHS if length is None else length) else None
        if self.args.fixed_regularizer_weight is not None:
            self.regularizer_weight = self.args.fixed_regularizer_weight
        return True
