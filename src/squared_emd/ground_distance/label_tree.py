"""Classes in a tree of labels: products in categories, animals in a taxonomy."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .files import read_json

if TYPE_CHECKING:
    from networkx import DiGraph, Graph


class LabelTree:
    """A rooted tree whose nodes, or some of them, are the K classes; each edge has a length.

    Make it with :meth:`from_nested`, :meth:`from_parents`, :meth:`from_networkx` or :meth:`from_json`. The distance of
    two classes is the length of the path between them.

    Args:
        parents: (N,) the index of each node's parent; -1 for the root.
        classes: (K,) the nodes that are the classes, in the order of the labels.
        class_names: (K,) their names.
        lengths: (N,) the length of the edge from each node to its parent, in any unit; that of the root is not used.
            Default: all 1.

    Attributes:
        class_names: (K,) names, in the order of the labels.
        num_classes: K.
        order: (K,) class indices in the order of a depth-first walk through the tree, parents first.
        starts, ends: (E,) the classes below edge e are ``order[starts[e]:ends[e]]``.
        lengths: (E,) float64, of the edges that separate some classes from others.

    Raises:
        ValueError: the nodes are no tree; the numbers of nodes or classes differ; a length is negative or not finite; a
            class is given twice, or there is none.

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
        classes = np.asarray(classes, dtype=np.int64)
        lengths = np.ones(len(parents)) if lengths is None else np.asarray(lengths, dtype=np.float64)
        self.class_names = [str(name) for name in class_names]
        self.num_classes = len(self.class_names)
        walk = _depth_first(parents)  # (N,) nodes
        _check_classes(classes, self.class_names, len(parents))
        _check_lengths(lengths, parents)

        place = np.argsort(walk)  # of each node in the walk
        sizes = np.ones_like(walk)  # number of nodes of each subtree
        for node in walk[:0:-1]:
            sizes[parents[node]] += sizes[node]
        is_class = np.zeros(len(walk), dtype=bool)  # by place in the walk
        is_class[place[classes]] = True
        before = np.concatenate([[0], np.cumsum(is_class)])  # number of classes before a place
        starts, ends = before[place], before[place + sizes]
        separates = (starts < ends) & (ends - starts < self.num_classes) & (lengths > 0) & (parents >= 0)
        self.starts, self.ends, self.lengths = starts[separates], ends[separates], lengths[separates]
        self.order = np.argsort(place[classes])

    @classmethod
    def from_nested(cls, nested: Mapping[str, Any] | Sequence[Any]) -> LabelTree:
        """A tree whose leaves are the classes, from nested dictionaries.

        Args:
            nested: from the name of a group to what is in it: another such dictionary, a list of class names, or for a
                class None or a number, the length of the edge to it. Every other edge has length 1.

        Returns:
            The tree; the labels follow the order of the dictionary.

        Raises:
            ValueError: an entry is none of these, or a class is given twice.

        >>> LabelTree.from_nested({"S": 0.5, "M": 0.5, "other": ["XL"]}).distances().tolist()
        [[0.0, 1.0, 2.5], [1.0, 0.0, 2.5], [2.5, 2.5, 0.0]]
        """
        parents, lengths, classes, names = [-1], [0.0], [], []
        stack = [(0, *item) for item in reversed(_items_of_group(nested, "the root"))]  # nested to any depth
        while stack:
            parent, name, value = stack.pop()
            node, has_length = len(parents), isinstance(value, (int, float))
            parents.append(parent)
            lengths.append(float(value) if has_length else 1.0)
            if value is None or has_length:
                classes.append(node)
                names.append(str(name))
            else:
                stack += [(node, *item) for item in reversed(_items_of_group(value, repr(name)))]
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
                each node's parent, -1 or None for the root; the indices are then the names.
            class_names: the nodes that are classes, in the order of the labels; they may have others below them.
                Default: the leaves, in their order in ``parents``.
            lengths: from the name of a node to the length of the edge to its parent, 1 if it is missing; or (N,)
                lengths. Default: all 1.

        Raises:
            ValueError: it is no tree with one root, or a name in ``class_names`` or ``lengths`` is no node.

        >>> LabelTree.from_parents({"cat": "animal", "dog": "animal", "animal": None}).class_names
        ['cat', 'dog']
        """
        if not isinstance(parents, Mapping):
            parents = {i: None if parent is None or parent < 0 else int(parent) for i, parent in enumerate(parents)}
        nodes = list(dict.fromkeys([*parents, *(parent for parent in parents.values() if parent is not None)]))
        inner = set(parents.values())
        classes = [name for name in nodes if name not in inner] if class_names is None else list(class_names)
        index = {name: i for i, name in enumerate(nodes)}
        by_name = isinstance(lengths, Mapping)
        for argument, names in (("class_names", classes), ("lengths", lengths if by_name else ())):
            for name in names:
                if name not in index:
                    raise ValueError(f"{argument} must name nodes of the label tree; it has no {name!r}.")
        return cls(
            [index.get(parents.get(name), -1) for name in nodes],
            [index[name] for name in classes],
            classes,
            [lengths.get(name, 1.0) for name in nodes] if by_name else lengths,
        )

    @classmethod
    def from_networkx(
        cls, graph: Graph | DiGraph, *, root: Any = None, class_names: Sequence[Any] | None = None
    ) -> LabelTree:
        """A tree from a graph of NetworkX; the attribute ``weight`` of an edge is its length, 1 without one.

        Args:
            graph: a tree; the edges of a directed one go from parent to child.
            root: of an undirected tree. It changes neither distances nor classes. Default: a node that is no leaf.
            class_names: the nodes that are classes, in the order of the labels. Default: the leaves, as they come.

        Returns:
            The tree; the names of the classes are the nodes as text.

        Raises:
            ValueError: the graph is no tree, or has no such root.
        """
        import networkx as nx  # here: slow to import

        is_tree = len(graph) and (nx.is_arborescence(graph) if graph.is_directed() else nx.is_tree(graph))
        if not is_tree:
            raise ValueError(
                "graph must be a tree: connected, without a cycle, and if it is directed with edges from parent to "
                f"child; got {len(graph)} nodes and {graph.number_of_edges()} edges that are none."
            )
        if root is not None and root not in graph:
            raise ValueError(f"root must be a node of the label tree; it has no {root!r}.")
        if class_names is None:
            degree, most = (graph.out_degree, 0) if graph.is_directed() else (graph.degree, 1)
            class_names = [node for node in graph if degree(node) <= most]
        if graph.is_directed():
            parents = {child: parent for parent, child in graph.edges}
        else:
            root = max(graph, key=graph.degree) if root is None else root
            parents = dict(nx.bfs_predecessors(graph, root))
        lengths = {child: graph.edges[parent, child].get("weight", 1.0) for child, parent in parents.items()}
        return cls.from_parents({node: parents.get(node) for node in graph}, class_names=class_names, lengths=lengths)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> LabelTree:
        """A tree from a file.

        Args:
            path: .json with what :meth:`from_nested` takes; or with an object whose entry ``parents`` is what
                :meth:`from_parents` takes, with ``class_names`` and ``lengths`` if they are needed.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds no tree.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"a label tree must be a .json file; there is no {path}.")
        content = read_json(path)
        is_flat = isinstance(content, dict) and {"parents"} <= content.keys() <= {"parents", "class_names", "lengths"}
        try:
            return cls.from_parents(**content) if is_flat else cls.from_nested(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def distances(self) -> np.ndarray:
        """The length of the path between every two classes.

        Returns:
            (K, K) float64, in the unit of the lengths. O(K^2) time and memory.
        """
        begins, ends = (np.bincount(at, self.lengths, self.num_classes + 1) for at in (self.starts, self.ends))
        depths = np.cumsum(begins - ends)[:-1]  # (K,) lengths of the edges above each class, in the order of the walk
        forks = depths[1:] - begins[1:-1]  # (K-1,) those above two successive classes
        distances = np.zeros((self.num_classes, self.num_classes))
        for i in range(self.num_classes - 1):
            common = np.minimum.accumulate(forks[i:])  # those above class i and each later one
            row = np.maximum(depths[i] + depths[i + 1 :] - 2 * common, 0)
            distances[i, i + 1 :] = distances[i + 1 :, i] = row
        place = np.argsort(self.order)
        return distances[np.ix_(place, place)]

    def reordered(self, class_names: Sequence[str]) -> LabelTree:
        """The same tree with its classes in another order.

        Args:
            class_names: (K,) the same names, in the order of a model's labels.

        Returns:
            A tree whose labels are in that order.

        Raises:
            ValueError: the names are different ones.
        """
        names = [str(name) for name in class_names]
        if sorted(names) != sorted(self.class_names):
            missing = sorted(set(names) - set(self.class_names)) or sorted(set(self.class_names) - set(names)) or names
            raise ValueError(
                f"the label tree must have the {len(names)} classes of the model; it has {self.num_classes}, and "
                f"{missing[0]!r} is not in both."
            )
        index = {name: k for k, name in enumerate(names)}
        tree = copy.copy(self)
        tree.class_names = names
        tree.order = np.array([index[self.class_names[k]] for k in self.order], dtype=np.int64)
        return tree


def _items_of_group(content: Any, name: str) -> list[tuple[Any, Any]]:
    """Names and values in a group of :meth:`LabelTree.from_nested`."""
    if isinstance(content, str) or not isinstance(content, (Mapping, Sequence)) or not content:
        raise ValueError(
            f"{name} of the label tree must hold a dictionary or a list with at least one class; got {content!r}. A "
            "class has None or the length of its edge."
        )
    if isinstance(content, Mapping):
        return list(content.items())
    items = []
    for entry in content:
        if isinstance(entry, (str, int)):
            items.append((entry, None))
        elif isinstance(entry, Mapping) and len(entry) == 1:
            items.extend(entry.items())
        else:
            raise ValueError(
                f"a list in {name} of the label tree must hold class names or dictionaries of one group; got {entry!r}."
            )
    return items


def _depth_first(parents: np.ndarray) -> np.ndarray:
    """(N,) nodes in depth-first order, each before the nodes below it."""
    import networkx as nx  # here: slow to import

    roots = np.flatnonzero(parents < 0)
    if len(roots) != 1:
        raise ValueError(f"a label tree must have one root, a node without a parent; got {len(roots)}.")
    outside = np.flatnonzero(parents >= len(parents))
    if len(outside):
        raise ValueError(
            f"each parent in a label tree must be a node, -1 or None; node {outside[0]} has {parents[outside[0]]}."
        )
    graph = nx.DiGraph((int(parent), node) for node, parent in enumerate(parents) if parent >= 0)
    graph.add_node(int(roots[0]))
    walk = np.fromiter(nx.dfs_preorder_nodes(graph, int(roots[0])), dtype=np.int64)
    if len(walk) < len(parents):
        raise ValueError(
            "all nodes of a label tree must be connected to its root; "
            f"{len(parents) - len(walk)} of {len(parents)} are not: there is a cycle."
        )
    return walk


def _check_classes(classes: np.ndarray, names: list[str], num_nodes: int) -> None:
    if len(classes) != len(names):
        raise ValueError(f"class_names must hold one name for each of the {len(classes)} classes, got {len(names)}.")
    outside = classes[(classes < 0) | (classes >= num_nodes)]
    if len(outside):
        raise ValueError(f"classes must be nodes of the label tree, 0 .. {num_nodes - 1}; got {outside[0]}.")
    if not names:
        raise ValueError("a label tree must have at least one class; it has none.")
    for values in (names, classes.tolist()):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise ValueError(f"a label tree must have each class once; {value!r} is given twice.")


def _check_lengths(lengths: np.ndarray, parents: np.ndarray) -> None:
    if lengths.shape != parents.shape:
        raise ValueError(f"lengths must hold one number for each of the {len(parents)} nodes, got {len(lengths)}.")
    bad = ~(np.isfinite(lengths) & (lengths >= 0)) & (parents >= 0)
    if bad.any():
        raise ValueError(
            f"the lengths of a label tree's edges must be finite and not negative; got {lengths[bad][0]:g}."
        )
