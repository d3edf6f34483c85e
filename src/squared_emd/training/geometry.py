"""Where the classes of a run lie, as its arguments say: on a line, on a circle or in a label tree; and a given D."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..ground_distance.given import (
    as_ground_distance,
    ground_distance_from_circle,
    ground_distance_from_positions,
    ground_distance_from_tree,
)
from ..ground_distance.label_tree import LabelTree
from ..ground_distance.learned import matrix_dtype, scale_to_mean_one
from ..ground_distance.saved import read_ground_distance
from ..losses import circular_emd_loss, squared_emd_loss, tree_emd_loss
from .arguments import EMDTrainingArguments

logger = logging.getLogger(__name__)


class Geometry:
    """Where the classes lie, by default on a line and one apart: their squared EMD, their distances and a given D."""

    def __init__(
        self,
        args: EMDTrainingArguments,
        num_classes: int,
        given: Any,  # (K, K) numbers or a LabelTree, in place of the arguments
        class_names: Sequence[str] | None,  # (K,) of the model
        device: torch.device,
    ) -> None:
        self.args = args
        self.num_classes = num_classes
        self.class_names = class_names
        self.given = given
        self.is_circle = args.geometry == "circle"
        self.spacing: Tensor | None = None
        tree, source = given if isinstance(given, LabelTree) else None, "the label tree"
        if tree is not None and (args.geometry is not None or args.spacing is not None):
            raise ValueError("EMDTrainer was given a label tree, and its arguments have geometry or spacing: give one.")
        if args.geometry not in (None, "line", "circle"):
            tree, source = LabelTree.from_json(args.geometry), args.geometry
        self.tree = None if tree is None else _reordered(tree, class_names)
        if self.tree is not None and self.tree.num_classes != num_classes:
            raise ValueError(
                f"{source} must have the {num_classes} classes of the model, it has {self.tree.num_classes}."
            )
        if self.tree is None and args.spacing is not None:
            gaps, symbol = (num_classes, "K") if self.is_circle else (num_classes - 1, "K-1")
            if len(args.spacing) != gaps:
                raise ValueError(
                    f"spacing must hold the {symbol} = {gaps} gaps between the {num_classes} classes"
                    f"{' on the circle' if self.is_circle else ''}, got {len(args.spacing)}: {args.spacing}."
                )
            self.spacing = torch.tensor(args.spacing, dtype=torch.float32, device=device)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,) the squared EMD (Hou et al. 2016, Eq. 10, or its counterpart on a circle or in a tree)."""
        if self.tree is not None:
            return tree_emd_loss(logits, labels, self.tree, reduction="none")
        loss = circular_emd_loss if self.is_circle else squared_emd_loss
        return loss(logits, labels, spacing=self.spacing, reduction="none")

    def distances(self) -> Tensor:
        """The distances between the classes, (K, K) float64, the largest 1."""
        if self.tree is not None:
            return ground_distance_from_tree(self.tree, normalize=True)
        gaps = torch.ones(self.num_classes) if self.spacing is None else self.spacing.cpu().double()
        if self.is_circle:
            return ground_distance_from_circle(gaps, normalize=True)
        positions = torch.cat([gaps.new_zeros(1), gaps[: self.num_classes - 1].cumsum(0)])
        return ground_distance_from_positions(positions, normalize=True)

    def given_ground_distance(self) -> tuple[Tensor, str] | None:
        """(K, K) the D that the run is given, by its arguments or as a matrix, and its name in messages.

        One that is to be blended is scaled to 1, and that of xemd to a mean of 1.
        """
        args, given = self.args, self.given
        smooths = args.label_smoothing_temperature is not None
        needs_matrix = args.uses_ground_distance or smooths
        if given is not None and (args.ground_distance is not None or args.geometry is not None):
            raise ValueError(
                "EMDTrainer was given a ground_distance, and its arguments have ground_distance or geometry: give one."
            )
        is_matrix = given is not None and not isinstance(given, LabelTree)
        if given is not None and not needs_matrix and (is_matrix or args.loss != "emd"):
            as_ground_distance(given, self.num_classes)  # What is wrong with it comes first.
            raise ValueError(
                "ground_distance is for the losses xemd, xemd1, xemd2 and a-emd, and for label_smoothing_temperature; "
                f"{args.loss} has none. Leave it out."
            )
        if is_matrix:
            matrix, source = as_ground_distance(given, self.num_classes), "ground_distance"
        elif args.ground_distance is not None:
            matrix, source = read_ground_distance(args.ground_distance, self.class_names), args.ground_distance
        elif needs_matrix and (given is not None or args.geometry is not None or args.loss == "emd"):
            matrix = self.distances().to(matrix_dtype(self.num_classes))
            source = "the label tree" if self.tree is not None else f"geometry {args.geometry or 'line'}"
        elif args.prior_weight is not None:
            raise ValueError(
                "prior_weight blends a given D with the learned one: give ground_distance or geometry too, or leave it "
                "out."
            )
        elif smooths and not args.uses_ground_distance:
            raise ValueError(
                f"label_smoothing_temperature needs a D, and the loss {args.loss} has none: give ground_distance or "
                "geometry."
            )
        else:
            return None
        if args.loss == "xemd":
            return scale_to_mean_one(matrix.clone(), matrix.any(0)), source
        if args.prior_weight is not None and matrix.max() > 0:
            return matrix / matrix.max(), source
        if args.is_self_guided and matrix.max() > 1:
            logger.warning(
                "The largest distance of %s is %.4g; omega and mu of Eq. 16 are meant for a D in 0 .. 1. Divide it by "
                "its largest entry, or choose omega and mu for it.",
                source,
                float(matrix.max()),
            )
        return matrix, source


def _reordered(tree: LabelTree, class_names: Sequence[str] | None) -> LabelTree:
    """The tree in the order of the model's classes; in its own if the model's have default names or none."""
    if class_names is None:
        return tree
    are_default = list(class_names) == [f"LABEL_{k}" for k in range(len(class_names))]
    if are_default and set(class_names) != set(tree.class_names):
        return tree
    return tree.reordered(class_names)
