"""Classes in a tree of labels: products in categories, animals in a taxonomy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from networkx import DiGraph, Graph

__all__ = ["LabelTree"]

_WEIGHT = "weight"  # the attribute of an edge


class LabelTree:
    """A rooted tree whose nodes, or some of them, are the K classes; each edge has a length.

    It is made by :meth:`from_nested`, :meth:`from_parents`, :meth:`from_networkx` or :meth:`from_json`. The distance of
    two classes is the length of the path between them.

    Args:
        parents: (N,) the index of each node's parent; -1 for the root.
        classes: (K,) the nodes that are the classes, in the order of the labels.
        class_names: (K,) their names.
        lengths: (N,) the length of the edge from each node to its parent, in any unit; that of the root counts nothing.
            Default: all 1.

    Attributes:
        class_names: (K,) names, in the order of the labels.
        num_classes: K.
        order: (K,) class indices in the order in which a walk through the tree meets them, parents first.
        starts, ends: (E,) the classes below edge e are ``order[starts[e]:ends[e]]``.
        lengths: (E,) float64, of the edges that part some classes from others.

    Raises:
        ValueError: the nodes are no tree; a length is negative or not finite; a class stands there twice, or there is
            none.

    >>> tree = LabelTree.from_nested({"food": ["apple", "bread"], "tool": ["saw"]})
    >>> tree.class_names
    ['apple', 'bread', 'saw']
    >>> tree.distances()
    array([[0., 2., 4.],
           [2., 0., 4.],
           [4., 4., 0.]])
    """

    def __init__(
        self,
        parents: Sequence[int],
        classes: Sequence[int],
        class_names: Sequence[str],
        lengths: Sequence[float] | None = None,
    ) -> None:
        parents = np.asarray(parents, dtype=np.int64)
        lengths = np.ones(len(parents)) if lengths is None else np.asarray(lengths, dtype=np.float64)
        self.class_names = [str(name) for name in class_names]
        self.num_classes = len(self.class_names)
        walk = _walk(parents)
        _check(parents, np.asarray(classes), self.class_names, lengths)

        place = np.empty_like(walk)  # of each node in the walk
        place[walk] = np.arange(len(walk))
        sizes = np.ones_like(walk)  # nodes below each node, and itself
        for node in walk[:0:-1]:
            sizes[parents[node]] += sizes[node]
        depths = np.zeros(len(walk))  # length of the path from the root
        for node in walk[1:]:
            depths[node] = depths[parents[node]] + lengths[node]

        is_class = np.zeros(len(walk), dtype=bool)
        is_class[place[np.asarray(classes)]] = True
        before = np.concatenate([[0], np.cumsum(is_class)])  # classes in the walk before a place
        starts, ends = before[place], before[place + sizes]
        parts = (starts < ends) & (ends - starts < self.num_classes) & (lengths > 0) & (parents >= 0)
        self.starts, self.ends, self.lengths = starts[parts], ends[parts], lengths[parts]
        index = {int(node): k for k, node in enumerate(classes)}
        self.order = np.array([index[int(node)] for node in walk if int(node) in index], dtype=np.int64)
        self._class_depths = depths[np.asarray(classes)][self.order]
        # where the paths from the root to a class of the walk and to the one before it part: no deeper than any parent
        # that the walk came by in between
        turns = np.where(parents[walk] >= 0, depths[parents[walk]], 0.0)
        places = np.flatnonzero(is_class)
        self._turns = np.array([turns[a + 1 : b + 1].min() for a, b in pairwise(places)])

    @classmethod
    def from_nested(cls, nested: Mapping[str, Any] | Sequence[Any]) -> LabelTree:
        """A tree whose leaves are the classes, from dictionaries within each other.

        Args:
            nested: from the name of a group to what is in it: another such dictionary, a list of class names, or for a
                class None or a number, the length of the edge to it. Every other edge has length 1.

        Returns:
            The tree; the labels follow the order in which the classes stand there.

        Raises:
            ValueError: an entry is none of these, or a class stands there twice.

        >>> LabelTree.from_nested({"S": 0.5, "M": 0.5, "other": ["XL"]}).distances().tolist()
        [[0.0, 1.0, 2.5], [1.0, 0.0, 2.5], [2.5, 2.5, 0.0]]
        """
        parents, lengths, classes, names = [-1], [0.0], [], []
        todo = [(0, nested, "the root")]
        found = {}  # node of a class -> its name
        children: list[list[int]] = [[]]
        while todo:
            parent, below, where = todo.pop()
            if isinstance(below, str) or not isinstance(below, (Mapping, Sequence)) or not below:
                raise ValueError(
                    f"{where} of the label tree must hold a dictionary or a list with at least one class; got "
                    f"{below!r}. A class has None or the length of its edge."
                )
            items = below.items() if isinstance(below, Mapping) else [_item(entry, where) for entry in below]
            for name, value in items:
                node = len(parents)
                parents.append(parent)
                children[parent].append(node)
                children.append([])
                is_class = value is None or isinstance(value, (int, float))
                lengths.append(1.0 if value is None or not is_class else float(value))
                if is_class:
                    found[node] = str(name)
                else:
                    todo.append((node, value, repr(name)))
        stack = [0]
        while stack:  # in the order in which they stand
            node = stack.pop()
            stack.extend(reversed(children[node]))
            if node in found:
                classes.append(node)
                names.append(found[node])
        return cls(parents, classes, names, lengths)

    @classmethod
    def from_parents(
        cls,
        parents: Mapping[Any, Any] | Sequence[int | None],
        *,
        class_names: Sequence[Any] | None = None,
        lengths: Mapping[Any, float] | Sequence[float] | None = None,
    ) -> LabelTree:
        """A tree from each node's parent.

        Args:
            parents: from the name of a node to that of its parent, which is None for the root; or (N,) the index of
                each node's parent, where the indices are the names, and -1 stands for none.
            class_names: the nodes that are classes, in the order of the labels; they may have others below them.
                Default: the leaves, in the order in which they stand there.
            lengths: from the name of a node to the length of the edge to its parent. Default: 1.

        Returns:
            The tree.

        Raises:
            ValueError: it is no tree with one root, or a name in ``class_names`` or ``lengths`` is no node.

        >>> LabelTree.from_parents({"cat": "animal", "dog": "animal", "animal": None}).class_names
        ['cat', 'dog']
        """
        if not isinstance(parents, Mapping):
            parents = {i: None if parent is None or parent < 0 else int(parent) for i, parent in enumerate(parents)}
        lengths = dict(lengths if isinstance(lengths, Mapping) else enumerate([] if lengths is None else lengths))
        nodes = list(dict.fromkeys([*parents, *(parent for parent in parents.values() if parent is not None)]))
        index = {name: i for i, name in enumerate(nodes)}
        has_children = {parent for parent in parents.values() if parent is not None}
        classes = [name for name in nodes if name not in has_children] if class_names is None else list(class_names)
        for what, names in (("class_names", classes), ("lengths", list(lengths))):
            strangers = [name for name in names if name not in index]
            if strangers:
                raise ValueError(f"{what} must name nodes of the label tree; it has no {strangers[0]!r}.")
        places = [index.get(parents.get(name), -1) for name in nodes]
        return cls(
            places,
            [index[name] for name in classes],
            [str(name) for name in classes],
            [lengths.get(name, 1.0) for name in nodes],
        )

    @classmethod
    def from_networkx(
        cls, graph: Graph | DiGraph, *, root: Any = None, class_names: Sequence[Any] | None = None
    ) -> LabelTree:
        """A tree from a graph of NetworkX; the attribute ``weight`` of an edge is its length, 1 where it has none.

        Args:
            graph: a tree; of a directed one the edges go from parent to child.
            root: of an undirected tree; which one it is changes no distance. Default: the first node that has several
                neighbours.
            class_names: the nodes that are classes, in the order of the labels. Default: the nodes without children, in
                the order of the graph.

        Returns:
            The tree; the names of the classes are the nodes as text.

        Raises:
            ValueError: the graph is no tree, or has no such root.
        """
        nodes = list(graph.nodes)
        if graph.is_directed():
            parents = {}
            for parent, child in graph.edges:
                if child in parents:
                    raise ValueError(f"a label tree must give each node one parent; {child!r} has several.")
                parents[child] = parent
            weights = {child: graph.edges[parent, child].get(_WEIGHT, 1.0) for child, parent in parents.items()}
        else:
            if nodes and root is not None and root not in graph:
                raise ValueError(f"root must be a node of the label tree; it has no {root!r}.")
            parents, weights = {}, {}
            if root is None:  # a node with one neighbour is a leaf, and so a class
                root = next((node for node in nodes if graph.degree(node) > 1), nodes[0] if nodes else None)
            todo = [root] if nodes else []
            seen = set(todo)
            while todo:
                parent = todo.pop()
                for child in graph.neighbors(parent):
                    if child not in seen:
                        seen.add(child)
                        parents[child], weights[child] = parent, graph.edges[parent, child].get(_WEIGHT, 1.0)
                        todo.append(child)
            if graph.number_of_edges() != len(parents):
                raise ValueError("a label tree must have one path between two nodes; this graph has a circle.")
        parents = {node: parents.get(node) for node in nodes}  # in the order of the graph
        return cls.from_parents(parents, class_names=class_names, lengths=weights)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> LabelTree:
        """A tree from a file.

        Args:
            path: .json with what :meth:`from_nested` takes; or with an object whose entry ``parents`` is what
                :meth:`from_parents` takes, beside ``class_names`` and ``lengths`` where they are needed.

        Returns:
            The tree.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds no tree.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"a label tree must be a .json file; there is no {path}.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} must hold a label tree as JSON; reading it gave {error}") from error
        try:
            is_flat = isinstance(content, dict) and content.keys() <= {"parents", "class_names", "lengths"}
            return (
                cls.from_parents(content.pop("parents"), **content)
                if is_flat and "parents" in content
                else cls.from_nested(content)
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def distances(self) -> np.ndarray:
        """The length of the path between each two classes.

        Returns:
            (K, K) float64, in the unit of the lengths. O(K^2) time and memory.
        """
        num_classes = self.num_classes
        distances = np.zeros((num_classes, num_classes))  # in the order of the walk
        for i in range(num_classes - 1):
            fork = np.minimum.accumulate(self._turns[i:])  # depth where the paths to class i and to later ones part
            row = np.maximum(self._class_depths[i] + self._class_depths[i + 1 :] - 2 * fork, 0)
            distances[i, i + 1 :] = distances[i + 1 :, i] = row
        back = np.argsort(self.order)
        return distances[np.ix_(back, back)]

    def reordered(self, class_names: Sequence[str]) -> LabelTree:
        """The same tree with its classes in another order.

        Args:
            class_names: (K,) the same names, as a model has them.

        Returns:
            A tree whose labels are in that order.

        Raises:
            ValueError: the names are others.
        """
        names = [str(name) for name in class_names]
        if sorted(names) != sorted(self.class_names):
            missing = sorted(set(names) - set(self.class_names)) or sorted(set(self.class_names) - set(names)) or names
            raise ValueError(
                f"the label tree must have the {len(names)} classes of the model; it has {self.num_classes}, and "
                f"{missing[0]!r} is not in both."
            )
        new = {name: k for k, name in enumerate(names)}
        tree = object.__new__(LabelTree)
        vars(tree).update(vars(self))
        tree.class_names = names
        tree.order = np.array([new[self.class_names[k]] for k in self.order], dtype=np.int64)
        return tree


def _item(entry: Any, where: str) -> tuple[str, Any]:
    if isinstance(entry, Mapping) and len(entry) == 1:
        return next(iter(entry.items()))
    if isinstance(entry, (str, int)):
        return str(entry), None
    raise ValueError(
        f"a list in {where} of the label tree must hold class names or dictionaries of one group; got {entry!r}."
    )


def _walk(parents: np.ndarray) -> np.ndarray:
    """(N,) nodes, each after its parent and all that is below a node right after it."""
    roots = np.flatnonzero(parents < 0)
    if len(roots) != 1:
        raise ValueError(f"a label tree must have one root, a node without a parent; got {len(roots)}.")
    strangers = np.flatnonzero(parents >= len(parents))
    if len(strangers):
        raise ValueError(
            f"each parent in a label tree must be a node, -1 or None; node {strangers[0]} has {parents[strangers[0]]}."
        )
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(node)
    walk, stack = [], [int(roots[0])]
    while stack:
        node = stack.pop()
        walk.append(node)
        stack.extend(reversed(children[node]))
    if len(walk) < len(parents):
        raise ValueError(
            f"all nodes of a label tree must hang on its root; {len(parents) - len(walk)} of {len(parents)} do not: "
            "there is a circle."
        )
    return np.array(walk)


def _check(parents: np.ndarray, classes: np.ndarray, names: list[str], lengths: np.ndarray) -> None:
    if len(names) == 0 or len(set(classes.tolist())) < len(classes) or len(set(names)) < len(names):
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        raise ValueError(
            "a label tree must have at least one class, and each once; "
            + ("it has none." if twice is None else f"{twice!r} stands there twice.")
        )
    wrong = ~(np.isfinite(lengths) & (lengths >= 0)) & (parents >= 0)
    if wrong.any():
        raise ValueError(
            f"the lengths of a label tree's edges must be finite and not negative; got {lengths[wrong][0]:g}."
        )
