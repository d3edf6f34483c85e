"""What the classes of a run lie on, as its arguments say: a line, a circle or a label tree."""

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
from ..ground_distance.learned import matrix_dtype
from ..ground_distance.saved import check_classes_of, read_ground_distance
from ..losses import circular_emd_loss, squared_emd_loss, tree_emd_loss
from .arguments import EMDTrainingArguments

__all__ = ["Geometry", "given_ground_distance"]

logger = logging.getLogger(__name__)


class Geometry:
    """Where the classes lie: their squared EMD and their distances.

    Args:
        args: whose `geometry` and `spacing` say it; without them the classes lie on a line, one apart.
        num_classes: K.
        class_names: (K,) of the model, in its order; None: it names none.
        device: where the loss is computed.

    Raises:
        ValueError: `spacing` has not as many gaps as the classes have; the label tree has other classes.
        FileNotFoundError: there is no such label tree.
    """

    def __init__(
        self,
        args: EMDTrainingArguments,
        num_classes: int,
        *,
        class_names: Sequence[str] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.is_given = args.geometry is not None or args.spacing is not None
        self.is_circle = args.geometry == "circle"
        self.tree = None
        self.spacing: Tensor | None = None
        if args.geometry not in (None, "line", "circle"):
            self.tree = _tree_of(args.geometry, num_classes, class_names)
        elif args.spacing is not None:
            gaps, what = (num_classes, "K") if self.is_circle else (num_classes - 1, "K-1")
            if len(args.spacing) != gaps:
                raise ValueError(
                    f"spacing must hold the {what} = {gaps} gaps between the {num_classes} classes"
                    f"{' on the circle' if self.is_circle else ''}, got {len(args.spacing)}: {args.spacing}."
                )
            self.spacing = torch.tensor(args.spacing, dtype=torch.float32, device=device)
        self.num_classes = num_classes

    def plant(self, tree: LabelTree) -> None:
        """Lay the classes in a tree.

        Args:
            tree: of the K classes, in the order of the labels.

        Raises:
            ValueError: it has other classes, or the arguments say a geometry too.
        """
        if self.is_given:
            raise ValueError("EMDTrainer was given a label tree, and its arguments have geometry or spacing: give one.")
        if tree.num_classes != self.num_classes:
            raise ValueError(
                f"the label tree must have the {self.num_classes} classes of the model, it has {tree.num_classes}."
            )
        self.tree = tree

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The squared EMD (Hou et al. 2016, Eq. 10, or its counterpart on a circle or in a tree).

        Args:
            logits: (B, K).
            labels: (B,) class indices, or (B, K) target distributions.

        Returns:
            (B,).
        """
        if self.tree is not None:
            return tree_emd_loss(logits, labels, self.tree, reduction="none")
        loss = circular_emd_loss if self.is_circle else squared_emd_loss
        return loss(logits, labels, spacing=self.spacing, reduction="none")

    def distances(self) -> Tensor:
        """How far the classes are apart.

        Returns:
            (K, K) float64, the largest 1.
        """
        if self.tree is not None:
            return ground_distance_from_tree(self.tree, normalize=True)
        gaps = torch.ones(self.num_classes) if self.spacing is None else self.spacing.cpu().double()
        if self.is_circle:
            return ground_distance_from_circle(gaps, normalize=True)
        positions = torch.cat([gaps.new_zeros(1), gaps[: self.num_classes - 1].cumsum(0)])
        return ground_distance_from_positions(positions, normalize=True)


def given_ground_distance(
    args: EMDTrainingArguments, geometry: Geometry, given: Any = None, class_names: Sequence[str] | None = None
) -> tuple[Tensor, str] | None:
    """The D that a run is given, by its arguments or as a matrix.

    Args:
        args: whose `ground_distance` or `geometry` say it.
        geometry: of the run.
        given: (K, K) numbers or a `LabelTree`, in place of the arguments.
        class_names: (K,) of the model; None: it names none.

    Returns:
        (K, K) D and what a message calls it; None where none is given. One that is to be blended is scaled to 1.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ground distance for these classes, it is given twice, or the run has no use for it, or
            cannot do without one.
    """
    smooths = args.label_smoothing_temperature is not None
    needs_matrix = args.uses_ground_distance or smooths
    if isinstance(given, LabelTree) and args.loss == "emd":
        geometry.plant(_reordered(given, class_names))
        return (geometry.distances(), "the label tree") if smooths else None
    if given is not None:
        found = _matrix_of(args, geometry, given, class_names), "ground_distance"
    elif args.ground_distance is not None:
        if class_names is not None:
            check_classes_of(args.ground_distance, class_names)
        found = read_ground_distance(args.ground_distance), args.ground_distance
    elif needs_matrix and (args.geometry is not None or args.loss == "emd"):
        distances = geometry.distances().to(matrix_dtype(geometry.num_classes))
        return distances, f"geometry {args.geometry or 'line'}"
    elif args.prior_weight is not None:
        raise ValueError(
            "prior_weight blends a given D with the learned one: give ground_distance or geometry too, or leave it out."
        )
    elif smooths and not args.uses_ground_distance:
        raise ValueError(
            f"label_smoothing_temperature needs a D, and the loss {args.loss} has none: give ground_distance or "
            "geometry."
        )
    else:
        return None
    if not needs_matrix:
        raise ValueError(
            "ground_distance is for the losses xemd1, xemd2 and a-emd, and for label_smoothing_temperature; "
            f"{args.loss} has none. Leave it out."
        )
    matrix, source = found
    if args.prior_weight is not None and matrix.max() > 0:
        return matrix / matrix.max(), source
    if args.is_self_guided and matrix.max() > 1:
        logger.warning(
            "The largest distance of %s is %.4g; omega and mu of Eq. 16 are meant for a D in 0 .. 1. Divide it by its "
            "largest entry, or choose omega and mu for it.",
            source,
            float(matrix.max()),
        )
    return found


def _matrix_of(args: EMDTrainingArguments, geometry: Geometry, given: Any, class_names: Sequence[str] | None) -> Tensor:
    if args.ground_distance is not None or args.geometry is not None:
        raise ValueError(
            "EMDTrainer was given a ground_distance, and its arguments have ground_distance or geometry: give one."
        )
    if isinstance(given, LabelTree):
        given = _reordered(given, class_names)
    return as_ground_distance(given, geometry.num_classes)


def _tree_of(path: str, num_classes: int, class_names: Sequence[str] | None) -> LabelTree:
    tree = _reordered(LabelTree.from_json(path), class_names)
    if tree.num_classes != num_classes:
        raise ValueError(f"{path} must have the {num_classes} classes of the model, it has {tree.num_classes}.")
    return tree


def _reordered(tree: LabelTree, class_names: Sequence[str] | None) -> LabelTree:
    """In the order of the model's classes, where it names them; the tree's own otherwise."""
    if class_names is None or (_are_unnamed(class_names) and set(class_names) != set(tree.class_names)):
        return tree
    return tree.reordered(class_names)


def _are_unnamed(class_names: Sequence[str]) -> bool:
    return list(class_names) == [f"LABEL_{k}" for k in range(len(class_names))]
