"""D of a classifier that is trained already, from one pass over labeled data: printed, drawn, saved and pushed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from inspect import signature
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import datasets
import torch
from accelerate import PartialState
from accelerate.utils import gather_object, send_to_device, tqdm
from datasets.distributed import split_dataset_by_node
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ..ground_distance.centroids import ClassCentroids
from ..ground_distance.learned import ground_distance_and_sdd, scale_to_mean_one
from ..ground_distance.model_config import class_names_differ, class_names_of, emd_block_of
from ..hub.main_process import on_main_process
from ..hub.pipelines import evaluating
from ..hub.upload import UploadError, create_repository, push_model
from ..losses import logits_of
from .config_entries import averages_flips, config_of, write_entries
from .head_features import HeadInput
from .labeled_inputs import labeled_inputs, load_classifier
from .labels import check_batch_labels, check_label_column, num_classes_of

logger = logging.getLogger(__name__)

_MAX_PRINTED = 20  # classes, whose D fits on a screen


@dataclass(frozen=True)
class LearnedGroundDistance:
    """What one pass over labeled data says of the classes of a classifier; the same on all ranks.

    Attributes:
        ground_distance: (K, K) D, float64 (float32 above 4,096 classes): percentile ranks (Hou et al. 2016, Eq. 12 and
            13), or the raw distances divided by their mean. Rows and columns of classes without a sample are 0.
        centroids: (K, d) float64, the mean of the L1-normalized features of each class (section 3.1).
        class_counts: (K,) float64, the samples of each class whose features are finite.
        known: (K,) bool, the classes with a sample.
        sdd, sdd_relative: the standard deviation of the raw distances (section 4.7), in the unit of the normalized
            features, and over the mean distance.
        rank: of D, as it was asked for.
        class_names: (K,) in the order of D; None: the model has none.
        model, processor: what was looked at, and what made its inputs, or None.
    """

    ground_distance: Tensor
    centroids: Tensor = field(repr=False)
    class_counts: Tensor
    known: Tensor = field(repr=False)
    sdd: float
    sdd_relative: float
    rank: str | None
    class_names: list[str] | None
    model: nn.Module = field(repr=False)
    processor: Any = field(repr=False)

    @property
    def raw_distances(self) -> Tensor:
        """(K, K) Euclidean distances between the centroids (Eq. 2); 0 for classes without a sample."""
        return ground_distance_and_sdd(self.centroids, rank=None, known=self.known)[0]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save the model with D, as `EMDTrainer.save_model` does; of several ranks the main process writes.

        D and the `emd` block are in the config of the model, D of more than 256 classes, and that of an adapter or a
        module without a config, is in `ground_distance.safetensors` beside the weights.

        Args:
            folder: is made where it is not there.
        """
        if not PartialState().is_main_process:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        config = config_of(self.model)
        earlier = emd_block_of(config)
        if class_names_differ(earlier.get("class_names"), self.class_names or []):
            earlier = {}
        block = earlier | {"version": version("squared-emd"), "rank": self.rank, "sdd": self.sdd}
        block["num_samples"] = round(float(self.class_counts.sum()))
        if self.class_names is not None:
            block["class_names"] = self.class_names
        write_entries(os.fspath(folder), self.model, self.ground_distance.cpu(), block)
        if hasattr(self.model, "save_pretrained"):
            self.model.save_pretrained(folder)
        else:
            save_model(self.model, os.fspath(Path(folder, "model.safetensors")))
        if hasattr(self.processor, "save_pretrained"):  # Not a pipeline of torchvision, which is a module, too.
            self.processor.save_pretrained(folder)


@torch.no_grad()
def learn_ground_distance(
    model: nn.Module | str | os.PathLike[str],
    dataset: Any,
    *,
    rank: str | None = "strict",
    processor: Any = None,
    data_collator: Callable[[list], Mapping[str, Any]] | None = None,
    split: str | None = None,
    input_column: str | None = None,
    label_column: str | None = None,
    head: str | None = None,
    batch_size: int = 32,
    num_proc: int = 0,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> LearnedGroundDistance:
    """The ground distance D of any trained classifier, from one pass over labeled data (Hou et al. 2016, section 3.1).

    The features are the input of the classifier head, their class means the centroids, and D the percentile ranks of
    the distances between these (Eq. 2, 12 and 13), as a self-guided run learns it in each epoch. Nothing is trained,
    and the model is left as it was. Under `accelerate launch` or `torchrun` each rank sees its share of the samples,
    each sample once, and the sums of all are added up.

    Args:
        model: a Hub repository or a folder with an image, text or audio classifier of transformers (timm's too); or
            any module with `config.num_labels`, `num_classes` or `num_labels` that returns (B, K) logits: as a tensor,
            first in a tuple, or as `logits` of a mapping.
        dataset: what gives the inputs of the model with `label` or `labels`, (B,) class indices or (B, K)
            distributions: a `datasets.Dataset` (or a stream), a list, a `torch.utils.data.Dataset`, as `Trainer` takes
            it. Or images, texts or sounds, of which the processor makes the inputs: a `datasets.Dataset` with such a
            column; or where they lie, a folder, file or Hub dataset as the recipes take it. Classes are matched by
            name with those of the model.
        rank: "strict" (Eq. 12), "inclusive" (the paper's Table 2), or None: D is the distances of the centroids,
            divided by their mean, as the loss xemd takes them.
        processor: image processor, tokenizer or feature extractor. Default: that of the model's repository or folder.
        data_collator: makes batches of samples. Default: that of `Trainer`, and one that pads texts and sounds.
        split: "train", "validation" or "test" of a dataset that is given by its place. Default: all of it.
        input_column: of the images, texts or sounds. Default: the only one of its kind.
        label_column: default: `label`.
        head: dotted name of the classifier head, where it cannot be found by itself.
        batch_size: samples of a batch on each rank.
        num_proc: processes of each rank that read samples; 0: the rank itself, as always for an `IterableDataset` of
            torch.
        device: default: where a module lies; the GPU of the rank for a model that is loaded.
        progress: show a bar, on the main process.

    Returns:
        D, the centroids and SDD, the same on all ranks.

    Raises:
        FileNotFoundError: there is no such model or dataset.
        ValueError: the model is no classifier, a label does not fit it, classes have other names, the head cannot be
            found, or fewer than two classes have a sample with finite features.
        RuntimeError: another rank failed; the message says why.

    Examples:
        >>> model = nn.Linear(2, 3, bias=False)
        >>> model.num_classes = 3
        >>> rows = [{"input": torch.tensor([1.0, x]), "labels": k} for k, x in enumerate([0.0, 1.0, 3.0])]
        >>> learned = learn_ground_distance(model, rows, progress=False)
        >>> learned.centroids[:, 0].tolist()  # divided by the L1 norm
        [1.0, 0.5, 0.25]
        >>> learned.ground_distance[0] * 6  # in sixths
        tensor([0., 3., 4.], dtype=torch.float64)
    """
    if rank not in ("strict", "inclusive", None):
        raise ValueError(f'rank must be "strict" (Eq. 12), "inclusive" (Table 2) or None, got {rank!r}.')
    state = PartialState(cpu=str(device) == "cpu" or not torch.accelerator.is_available())
    if isinstance(model, nn.Module):
        weight = next(model.parameters(), None)
        device = torch.device(device or ("cpu" if weight is None else weight.device))
    else:
        device = torch.device(device or state.device)
        model, processor = load_classifier(model, processor)
    model.to(device)
    num_classes = num_classes_of(model)
    if num_classes < 2:
        raise ValueError(f"D needs a classifier with an output for each class; this one has {num_classes} output.")
    class_names = class_names_of(config_of(model))
    options = {"split": split, "input_column": input_column, "label_column": label_column}
    samples, collate = labeled_inputs(dataset, model, processor, class_names, **options)
    collate = data_collator or collate
    check_label_column(samples, num_classes, collate, source="the dataset")
    loader = _loader(samples, state, collate_fn=collate, batch_size=batch_size, num_workers=num_proc)
    centroids, failure = ClassCentroids(num_classes, device), None
    try:
        _add_features(model, tqdm(loader, desc="Learning D", unit="batch", disable=not progress), centroids, head)
    except Exception as error:  # The others would wait for the sums of this rank.
        failure = error
    _add_other_ranks(centroids, state, failure)
    return _result(centroids, rank, class_names, model, processor)


def _loader(samples: Any, state: PartialState, **options: Any) -> DataLoader:
    """The share of this rank: every sample is that of one rank."""
    rank, world_size = state.process_index, state.num_processes
    if isinstance(samples, datasets.IterableDataset):
        return DataLoader(split_dataset_by_node(samples, rank, world_size), **options)
    if isinstance(samples, IterableDataset):
        # Each worker would read all of the stream.
        return DataLoader(_Share(samples, rank, world_size), **options | {"num_workers": 0})
    if not len(samples):
        raise ValueError("the dataset must have labeled samples, it is empty. Give some for each class.")
    return DataLoader(samples, sampler=range(rank, len(samples), world_size), **options)


class _Share(IterableDataset):
    """Each sample of a stream that is the turn of this rank."""

    def __init__(self, samples: IterableDataset, rank: int, world_size: int) -> None:
        self.samples, self.rank, self.world_size = samples, rank, world_size

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.samples), self.rank, None, self.world_size)


def _add_features(model: nn.Module, batches: Any, centroids: ClassCentroids, head: str | None) -> None:
    """Add the features of all batches to the sums."""
    num_classes = centroids.num_classes
    head_input = HeadInput(model, num_classes, head)
    # The hook that averages over flips would run the head a second time, on other features.
    call = model.forward if averages_flips(model) else model
    accepted = set(signature(model.forward).parameters) - {"labels"}
    device = next((parameter.device for parameter in model.parameters()), centroids.device)
    with evaluating(model):
        for batch in batches:
            if not isinstance(batch, Mapping) or "labels" not in batch:
                got = sorted(batch) if isinstance(batch, Mapping) else f"a {type(batch).__name__}"
                raise ValueError(
                    f"every sample must be a mapping with `label` or `labels`, a batch has {got}. Name the column of "
                    "the labels with label_column, or give a data_collator that makes `labels`."
                )
            check_batch_labels(num_classes, batch)
            batch = send_to_device(dict(batch), device)
            labels = batch.pop("labels")
            inputs = {name: value for name, value in batch.items() if name in accepted} or batch  # of a wrapper
            with head_input.armed(model):
                outputs = call(**inputs)
            features = head_input.take(logits_of(outputs, num_classes))  # (B, d)
            centroids.update(features, labels)
    head_input.remove()


def _add_other_ranks(centroids: ClassCentroids, state: PartialState, failure: Exception | None) -> None:
    """Add up the sums of all ranks; raise what went wrong on one of them on all."""
    message = None if failure is None else f"rank {state.process_index} failed, {type(failure).__name__}: {failure}"
    sums = centroids.class_sums
    found = gather_object([(message, None if sums is None else sums.shape[1])])  # (message, width) of each rank
    if failure is not None:
        raise failure
    for message, _ in found:
        if message is not None:
            raise RuntimeError(message)
    widths = [width for _, width in found if width is not None]
    if widths and sums is None:  # There are fewer samples than ranks.
        size = centroids.num_classes, widths[0]
        centroids.class_sums = torch.zeros(size, dtype=torch.float64, device=centroids.device)
    if widths:
        centroids.all_reduce()


def _result(
    centroids: ClassCentroids, rank: str | None, class_names: list[str] | None, model: nn.Module, processor: Any
) -> LearnedGroundDistance:
    """D from the sums of all ranks."""
    counts = centroids.class_counts.clone()
    centroids.refresh()
    known, num_known = centroids.known, int(centroids.known.sum())
    if num_known < 2:
        raise ValueError(
            f"D needs samples of at least two classes, with finite features; {num_known} of {len(known)} classes have "
            "one. Look at the labels, and at the model's weights."
        )
    unknown = (~known).nonzero().flatten().tolist()
    if unknown and PartialState().is_main_process:
        names = ", ".join(repr((class_names or range(len(known)))[k]) for k in unknown[:5])
        names += ", ..." if len(unknown) > 5 else ""
        message = "%d of %d classes have no sample, so that D does not know them: %s."
        logger.warning(message, len(unknown), len(known), names)
    matrix, deviation, relative = ground_distance_and_sdd(centroids.centroids, rank=rank, known=known)
    if rank is None:
        scale_to_mean_one(matrix, known)
    return LearnedGroundDistance(
        matrix, centroids.centroids, counts, known, deviation, relative, rank, class_names, model, processor
    )


def write_learned_distance(
    model: str,
    dataset: str,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    push_to: str | None = None,
    private: bool | None = None,
    **options: Any,
) -> None:
    """Learn D, print it, save it with the model, draw it and push it, as the command `squared-emd distance` does.

    A `push_to` of "" is the model's own repository. Without `output_dir` only a push that fails leaves the files.
    """
    if push_to == "" and os.path.isdir(model):
        raise ValueError(f"{model} is a folder, which has no repository. Name one, as in --push me/age.")
    push_to = model if push_to == "" else push_to
    if push_to is not None:
        with TemporaryDirectory() as none_yet:
            on_main_process(lambda: create_repository(push_to, none_yet, private=private), UploadError)
    learned = learn_ground_distance(model, dataset, **options)
    if not PartialState().is_main_process:
        return
    print(_described(learned), flush=True)
    if output_dir is None and push_to is None:
        return
    folder = mkdtemp(prefix="squared-emd-") if output_dir is None else output_dir
    learned.save(folder)
    _draw(learned, Path(folder, "ground_distance.png"))
    if output_dir is not None:
        print(f"The model is saved with it in {output_dir}.")
    if push_to is not None:
        pushed = push_model(folder, push_to, private=private, message="Add the ground distance")
        print(f"It is at {pushed.repo_url}.")
        if output_dir is None:  # Where the push failed, its message says how to push from there.
            shutil.rmtree(folder)


def _described(learned: LearnedGroundDistance) -> str:
    names = learned.class_names or [str(k) for k in range(len(learned.known))]
    lines = [
        f"D of {len(names)} classes from {float(learned.class_counts.sum()):.0f} samples. SDD {learned.sdd:.4g}, "
        f"{learned.sdd_relative:.3g} of the mean distance."
    ]
    if len(names) <= _MAX_PRINTED:
        width = max(map(len, names))
        rows = zip(names, learned.ground_distance.tolist(), strict=True)
        lines += [f"{name:>{width}}  {' '.join(f'{entry:.2f}' for entry in row)}" for name, row in rows]
    return "\n".join(lines)


def _draw(learned: LearnedGroundDistance, path: Path) -> None:
    try:  # Here, because Matplotlib is optional and takes a second to import.
        from .. import plot
    except ImportError as error:
        logger.warning("D is not drawn: %s", error)
        return
    plot.heat_map(learned.ground_distance, class_names=learned.class_names, path=path)
