"""What a run is told: `EMDTrainingArguments`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments

from ..metrics.names import less_is_better
from .argument_checks import LOSSES, LOSSES_OF_FIELDS, SELF_GUIDED, check_conflicts, check_ranges, counting_scheme

_ENERGY_DISTANCE_WEIGHT = 6.0  # measured, not the paper's
JUMP_START_EPOCHS = 4  # section 4.3, for Eq. 16
_SHORT_JUMP_START = 1 / 3  # of a run that would end within those
_ENERGY_DISTANCE_JUMP_START = 0.1


@dataclass
class EMDTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` and the choices of Hou et al. 2016; the defaults are the paper's but for `loss`.

    The default loss is `xemd`, not the paper's `xemd2`: on seven sets of real data `xemd2` was clearly worse than
    cross-entropy in squared EMD and log-likelihood, `xemd` in neither (``docs/does_it_help.md``).

    Raises:
        ValueError: a field of ours is out of its range.
    """

    loss: str = field(
        default="xemd",
        metadata={
            "choices": LOSSES,
            "help": "xemd, not in the paper: cross-entropy with the energy distance under a D of mean 1. xe: "
            "cross-entropy. reg: squared error of one linear output. emd: squared EMD of ordered classes (Eq. 10). "
            "xemd1, xemd2: cross-entropy with the self-guided squared EMD regularizer (Eq. 16) at omega 1, mu -0.5 "
            "and at omega 2, mu -0.25. a-emd: entropic Wasserstein loss (Frogner et al. 2015) under a given ground "
            "distance.",
        },
    )
    omega: float | None = field(
        default=None, metadata={"help": "Power of the ground distance in Eq. 16. Default: 1 for xemd1, 2 for xemd2."}
    )
    mu: float | None = field(
        default=None,
        metadata={
            "help": "Bias of the ground distance in Eq. 16; negative, so that classes near the true one are rewarded. "
            "Default: -0.5 for xemd1, -0.25 for xemd2."
        },
    )
    regularizer_weight: str = field(
        default="auto",
        metadata={
            "help": "lambda of Eq. 16: a number, or auto. xemd1, xemd2: auto is fixed at the end of the jump start so "
            "that the regularizer is regularizer_ratio times smaller than the cross-entropy (section 4.3). xemd: auto "
            "is 6."
        },
    )
    regularizer_ratio: float = field(
        default=3.5,
        metadata={"help": "Cross-entropy over regularizer for the automatic weight; the paper: 3 to 4 (section 4.3)."},
    )
    jump_start_epochs: float | None = field(
        default=None,
        metadata={
            "help": "How many epochs of an xemd, xemd1 or xemd2 run come first, with plain cross-entropy; 0.5: half of "
            "one. Of a stream, whose epochs have no known length, so many whole passes. Default: jump_start_ratio; for "
            "xemd1 and xemd2 4 (section 4.3), where the run has more epochs than that."
        },
    )
    jump_start_ratio: float | None = field(
        default=None,
        metadata={
            "help": "In place of jump_start_epochs: the share of the steps of the run. Default: 0.1 for xemd, 1/3 for "
            "xemd1 and xemd2."
        },
    )
    true_class_cost: float | None = field(
        default=None,
        metadata={
            "help": "Not in the paper: if given, the true class contributes true_class_cost * (1 - p_k)^2 to the "
            "regularizer in place of mu * p_k^2."
        },
    )
    rank: str | None = field(
        default=None,
        metadata={
            "choices": ("strict", "inclusive"),
            "help": "Percentile ranks behind D. strict: the entries smaller (Eq. 12); inclusive: an entry counts "
            "itself (how the paper's Table 2 must have been made). Default: strict; for xemd the distances of the "
            "centroids themselves (Eq. 2), with which it is a proper scoring rule.",
        },
    )
    ground_distance: str | None = field(
        default=None,
        metadata={
            "help": "A .json, .npy or .safetensors file with a (K, K) matrix, or the folder of a model that was saved "
            "with one: a fixed D in place of a learned one. a-emd needs it (the paper took the D of an xemd2 run), or "
            "a model that was saved with one. EMDTrainer(ground_distance=...) takes the matrix itself."
        },
    )
    geometry: str | None = field(
        default=None,
        metadata={
            "help": "Not in the paper but for the line: what the classes lie on. line, circle, or a .json file with a "
            "label tree (LabelTree.from_json). emd: the exact EMD there; default: line. xemd, xemd1, xemd2, a-emd: D "
            "is the distances there, scaled to 1 (xemd: to a mean of 1). spacing has the gaps of a line or circle."
        },
    )
    prior_weight: float | None = field(
        default=None,
        metadata={
            "help": "Not in the paper, for xemd, xemd1 and xemd2: D is learned, and blended with the D that "
            "ground_distance or geometry gives, with this weight (0 .. 1) in the first epoch. Default: 0.5 for xemd; "
            "for the others a given D is not changed."
        },
    )
    prior_decay: float | None = field(
        default=None,
        metadata={
            "help": "The weight of the given D falls by this factor every epoch; 1: it stays. Default: 1 for xemd, 0.9 "
            "for the others."
        },
    )
    ground_distance_update_steps: int | None = field(
        default=None,
        metadata={
            "help": "Refresh D every so many optimizer steps too, from what the epoch has brought so far, for epochs "
            "that last days. Default: at the end of every epoch only."
        },
    )
    spacing: list[float] | None = field(
        default=None,
        metadata={
            "help": "The K-1 gaps between neighboring classes on a line (K on a circle, the last one back to the "
            "first class), for the loss emd and for geometry. Default: all 1."
        },
    )
    class_weights: list[str] | None = field(
        default=None,
        metadata={
            "help": "Not in the paper: how much a sample counts in the loss. balanced: one over the number of training "
            "samples of its class. effective or effective:BETA: one over their effective number (Cui et al. 2019; "
            "BETA 0.999). Both have mean 1 over the training samples. Or K numbers. Default: all count alike."
        },
    )
    balanced_sampling: bool = field(
        default=False,
        metadata={
            "help": "Not in the paper: draw the samples of an epoch so that each class comes equally often; those of a "
            "rare class come several times, some of a frequent one not at all."
        },
    )
    label_smoothing_temperature: float | None = field(
        default=None,
        metadata={
            "help": "Not in the paper: label_smoothing_factor goes to near classes first, as softmax(-D / "
            "temperature), in the mean distance of D. It needs a D: that of the loss, of ground_distance or of "
            "geometry. Until D is learned, and by default, all classes get the same."
        },
    )
    entropic_strength: float = field(
        default=10.0,
        metadata={
            "help": "Entropic strength of a-emd, in 1 over the unit of D: the greater, the nearer to the EMD. The "
            "paper chooses from 0.1, 1 and 10 on validation data (section 4.3)."
        },
    )
    sinkhorn_iterations: int = field(
        default=100, metadata={"help": "Matrix scaling iterations of a-emd, where labels are distributions."}
    )
    nan_policy: str = field(
        default="raise",
        metadata={
            "choices": ("raise", "skip"),
            "help": "What happens where features or logits are NaN or infinite. Such a sample never enters the "
            "centroids and is counted in the log; a logit of -inf masks its class, and is none. raise: the run ends "
            "when all samples of a rank were such for nan_steps steps, and weights that are not finite are not saved. "
            "skip: their loss counts as 0, and a step whose gradient is not finite gets a gradient of 0.",
        },
    )
    nan_steps: int = field(
        default=10,
        metadata={"help": "After how many steps in a row without a finite sample nan_policy raise ends the run."},
    )
    head: str | None = field(
        default=None,
        metadata={
            "help": "Dotted name of the classifier head whose input the features are, where it cannot be found by "
            "itself."
        },
    )

    def __post_init__(self) -> None:
        self.check_fields()
        if self.greater_is_better is None and less_is_better(self.metric_for_best_model or ""):
            self.greater_is_better = False  # Of an error; Trainer knows it of the loss only.
        super().__post_init__()  # Last, because it imports for seconds the first time.

    def check_fields(self) -> None:
        """Raise a ValueError if a field is out of its range or does not go with the others."""
        self._make_lists()
        check_ranges(self)
        check_conflicts(self)

    def _make_lists(self) -> None:
        """Arrays, tensors and tuples as lists, which can be compared, of weights as a command line gives them."""
        for name in ("spacing", "class_weights"):
            value = _plain(getattr(self, name))
            setattr(self, name, [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value)
        if isinstance(self.class_weights, (str, float, int)):
            self.class_weights = [self.class_weights]
        if self.class_weights is not None:
            self.class_weights = [str(entry) for entry in self.class_weights]
            joined = "".join(self.class_weights)
            if counting_scheme([joined]) is not None:  # A hyperparameter search makes a list of a text.
                self.class_weights = [joined]

    def changed_fields(self, other: EMDTrainingArguments) -> list[str]:
        """The fields of ours that have another value in other arguments."""
        self._make_lists()
        return [name for name in own_fields() if getattr(self, name) != getattr(other, name)]

    @property
    def unused_fields(self) -> list[str]:
        """The fields of ours that were changed, though this loss has no use for them."""
        return [
            name
            for name, losses in LOSSES_OF_FIELDS.items()
            if self.loss not in losses and getattr(self, name) != getattr(EMDTrainingArguments, name)
        ]

    @property
    def weights_by_count(self) -> tuple[str, float] | None:
        """The scheme of `class_weights` and its beta, if they come from the numbers of samples."""
        return counting_scheme(self.class_weights)

    @property
    def is_self_guided(self) -> bool:
        """Whether the loss is cross-entropy with a regularizer under a D, which may be learned: Eq. 16, or xemd."""
        return self.loss == "xemd" or self.loss in SELF_GUIDED

    @property
    def fixed_regularizer_weight(self) -> float | None:
        """Lambda, or None where it is measured at the end of the jump start."""
        if self.regularizer_weight != "auto":
            return float(self.regularizer_weight)
        return _ENERGY_DISTANCE_WEIGHT if self.loss == "xemd" else None

    @property
    def ranks(self) -> str | None:
        """The percentile ranks behind D; None: its entries are the distances of the centroids."""
        return "strict" if self.rank is None and self.loss != "xemd" else self.rank

    @property
    def prior(self) -> tuple[float, float] | None:
        """The weight of a given D in the first epoch, and its decay; None: a given D is not changed."""
        weight, decay = (0.5, 1.0) if self.loss == "xemd" else (None, 0.9)
        weight = weight if self.prior_weight is None else self.prior_weight
        return None if weight is None else (weight, decay if self.prior_decay is None else self.prior_decay)

    @property
    def uses_ground_distance(self) -> bool:
        """Whether the loss has a D, learned or given."""
        return self.is_self_guided or self.loss == "a-emd"

    def check_jump_start(self, num_epochs: float) -> None:
        """Raise a ValueError if a run of `num_epochs` would end within the `jump_start_epochs` that were given."""
        epochs = self.jump_start_epochs
        if self.is_self_guided and epochs is not None and num_epochs <= epochs:
            raise ValueError(
                f"the loss {self.loss} needs more epochs than its jump start of {epochs:g}, or the run would be plain "
                f"cross-entropy; this run has {num_epochs:.4g}. "
                "Raise num_train_epochs (or max_steps), or lower jump_start_epochs."
            )

    def steps_of_jump_start(self, num_steps: int, epoch_steps: int | None) -> int | None:
        """How many of the steps of a run are plain cross-entropy, rounded up; of a stream nobody knows `epoch_steps`.

        None: so many passes of a stream as `jump_start_epochs` says.
        """
        epochs, ratio = self.jump_start_epochs, self.jump_start_ratio
        if epochs is None and ratio is None:
            if self.loss == "xemd":
                ratio = _ENERGY_DISTANCE_JUMP_START
            elif epoch_steps is not None and num_steps > JUMP_START_EPOCHS * epoch_steps:
                epochs = JUMP_START_EPOCHS
            else:
                ratio = _SHORT_JUMP_START
        if ratio is None and epoch_steps is None:
            return None
        steps = epochs * epoch_steps if ratio is None else ratio * num_steps
        return math.ceil(steps - 1e-6)  # 0.1 * 30 is more than 3

    def self_guided_parameters(self) -> tuple[float, float]:
        """omega and mu of Eq. 16: the given ones, else those of the paper for this loss."""
        omega, mu = SELF_GUIDED[self.loss]
        return omega if self.omega is None else self.omega, mu if self.mu is None else self.mu


def own_fields() -> list[str]:
    """The fields that `TrainingArguments` does not have, and one that means another thing here."""
    return [*EMDTrainingArguments.__annotations__, "label_smoothing_factor"]


def _plain(value: Any) -> Any:
    """Arrays, tensors and their scalars as Python has them."""
    return value.tolist() if hasattr(value, "tolist") else value
