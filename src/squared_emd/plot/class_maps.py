"""The classes as points in the plane."""

from __future__ import annotations

import os
from collections.abc import Sequence

from matplotlib.figure import Figure

from .class_map_figure import class_map_figure
from .heat_maps import save
from .sources import Source, as_array, read_source

__all__ = ["class_map"]


def class_map(
    source: Source,
    *,
    ordered: bool = True,
    class_names: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Figure:
    """The classes as points in the plane, as far apart as D says, in so far as two dimensions can show it.

    By classical multidimensional scaling; the line below says how much of the squared distances the plane shows. A
    class that D does not know is left out, and counted there. Above 40 classes 20 are named: evenly along the order,
    which the colours show, or where there is none the outermost.

    Args:
        source: (K, K) numbers; a config with a `ground_distance`; a folder with a saved model or a run; a .json, .npy
            or .safetensors file; or a model on the Hub, as "me/age".
        ordered: whether the classes have an order, which is drawn as a path through them.
        class_names: (K,) names; default: those that were saved with D, else the numbers of the classes.
        path: the file to write, PNG or what its suffix says; None: no file.
        title: a line above the picture.
        revision: a branch, tag or commit on the Hub.
        token: for a private model on the Hub.

    Returns:
        The figure, not one of pyplot's.

    Raises:
        TypeError: `source` is none of these.
        FileNotFoundError: there is no such file, folder or model.
        ValueError: there is no D, it is not (K, K) and finite, or the names are not K.

    >>> figure = class_map([[0, 2], [2, 0]], class_names=["a", "b"])
    >>> figure.axes[0].lines[0].get_xydata().round(6).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    matrix, names = read_source(source, class_names=class_names, revision=revision, token=token)
    return save(class_map_figure(as_array(matrix), names, title, ordered=ordered), path)
