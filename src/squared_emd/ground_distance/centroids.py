"""Running class centroids of the network's features, on one process or many."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from ..losses import check_labels, upcast_to_float32


class ClassCentroids:
    """Class centroids of L1-normalized features (Hou et al. 2016, section 3.1), estimated again in each epoch.

    Sums and counts are float64, so that the mean of ten million samples does not drift. A class without a sample in an
    epoch keeps its last centroid; one that never had a sample is not ``known``.

    Args:
        num_classes: K.
        device: where the sums live; on a device without float64 (MPS) they live on the CPU.

    Attributes:
        centroids: (K, d) float64, of the last :meth:`refresh`; None before the first sample.
        known: (K,) bool, the classes that ever had a sample.

    >>> classes = ClassCentroids(2)
    >>> classes.update(torch.tensor([[1.0, 3.0], [3.0, 1.0], [0.0, 2.0]]), torch.tensor([0, 0, 1]))
    >>> classes.refresh()
    >>> classes.centroids
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]], dtype=torch.float64)
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}.")
        self.num_classes = num_classes
        device = torch.device(device)
        self.device = torch.device("cpu") if device.type == "mps" else device
        self.class_sums: Tensor | None = None  # (K, d) of the running epoch
        self.class_counts = torch.zeros(num_classes, dtype=torch.float64, device=self.device)
        self.centroids: Tensor | None = None
        self.known = torch.zeros(num_classes, dtype=torch.bool, device=self.device)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch, each sample divided by its L1 norm, to the running sums.

        A sample whose features are not finite, or have no finite L1 norm, is left out. No value is read on the host, so
        a GPU is not synchronized.

        Args:
            features: (B, d) inputs of the classifier head, of any floating dtype and sign.
            labels: (B,) class indices, or (B, K) distributions: a sample then counts in each class by its weight.

        Raises:
            ValueError: the shapes do not fit each other or the batches before.
        """
        if features.dim() != 2:
            raise ValueError(f"features must be (B, d), got shape {tuple(features.shape)}.")
        labels = check_labels(labels, len(features), self.num_classes).to(self.device)
        if self.class_sums is None:
            self.class_sums = torch.zeros(self.num_classes, features.shape[1], dtype=torch.float64, device=self.device)
        if features.shape[1] != self.class_sums.shape[1]:
            raise ValueError(
                f"features must have {self.class_sums.shape[1]} columns like those before, got {features.shape[1]}."
            )
        features = upcast_to_float32(features.to(self.device))
        norms = features.abs().sum(1, keepdim=True)  # (B, 1)
        finite = norms < torch.inf  # (B, 1); a NaN is not
        normalized = (features / norms.masked_fill(norms == 0, 1)).masked_fill_(~finite, 0)  # (B, d) section 3.1
        normalized = normalized.double()
        weights = finite.squeeze(1).double()  # (B,)
        if labels.dim() == 1:
            self.class_sums.index_add_(0, labels, normalized)
            self.class_counts.index_add_(0, labels, weights)
        else:
            shares = labels.double() * weights[:, None]  # (B, K)
            self.class_sums.addmm_(shares.T, normalized)
            self.class_counts.add_(shares.sum(0))

    def all_reduce(self) -> None:
        """Add up the running sums and counts of all ranks, in place, by one all-reduce of K x (d + 1) numbers.

        Every rank must call it, and every rank must have seen a batch. Without ``torch.distributed`` it does nothing.

        Raises:
            RuntimeError: this rank has seen no batch yet.
        """
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return
        if self.class_sums is None:
            raise RuntimeError(
                f"rank {dist.get_rank()} has seen no batch, so it does not know the width of the features; "
                "give every rank at least one batch an epoch."
            )
        packed = torch.cat([self.class_sums, self.class_counts[:, None]], dim=1)  # (K, d + 1): 8 K (d + 1) bytes
        dist.all_reduce(packed)
        self.class_sums.copy_(packed[:, :-1])
        self.class_counts.copy_(packed[:, -1])

    def refresh(self, *, reset: bool = True) -> None:
        """Turn the running sums into centroids.

        Args:
            reset: begin a new epoch; otherwise what comes is added to the same sums.
        """
        if self.class_sums is None:
            return
        seen = self.class_counts > 0  # (K,)
        means = self.class_sums / torch.where(seen, self.class_counts, 1)[:, None]  # (K, d)
        if self.centroids is not None and not seen.all():
            torch.where(seen[:, None], means, self.centroids, out=means)
        self.centroids = means  # without a sample ever: 0
        self.known = self.known | seen
        if reset:
            self.reset()

    def reset(self) -> None:
        """Forget the running sums, not the centroids."""
        if self.class_sums is not None:
            self.class_sums.zero_()
        self.class_counts.zero_()

    def state_dict(self, *, copy: bool = True) -> dict[str, Tensor]:
        """All that :meth:`load_state_dict` needs, as plain tensors.

        Args:
            copy: otherwise the tensors are those that the next :meth:`update` changes.

        Returns:
            ``class_counts`` and ``known``, and ``class_sums`` and ``centroids`` as far as they exist.
        """
        state = {"class_counts": self.class_counts, "known": self.known}
        if self.class_sums is not None:
            state["class_sums"] = self.class_sums
        if self.centroids is not None:
            state["centroids"] = self.centroids
        return {name: tensor.detach().clone() if copy else tensor for name, tensor in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave.

        Args:
            state: its result, from a process with as many classes.

        Raises:
            ValueError: ``state`` belongs to another number of classes.
        """
        if len(state["known"]) != self.num_classes:
            raise ValueError(
                f"the saved centroids are of {len(state['known'])} classes, this run has {self.num_classes}."
            )
        for name in ("class_counts", "known", "class_sums", "centroids"):
            setattr(self, name, state[name].to(self.device).clone() if name in state else None)
