"""Label trees: their distances against NetworkX and paths added up by hand, and what is no tree."""

import json

import networkx as nx
import numpy as np
import pytest
from tests.errors import message_of

from squared_emd import LabelTree, ground_distance_from_tree

NESTED = {
    "food": {"fruit": ["apple", "pear"], "bread": 2.5},
    "tools": ["saw", {"drills": ["big", "small"]}],
    "gift": 0.5,
}
# the same by hand: paths over the edges, each 1 but for bread (2.5) and gift (0.5)
NAMES = ["apple", "pear", "bread", "saw", "big", "small", "gift"]
PATHS = [
    [0, 2, 4.5, 5, 6, 6, 3.5],
    [2, 0, 4.5, 5, 6, 6, 3.5],
    [4.5, 4.5, 0, 5.5, 6.5, 6.5, 4],
    [5, 5, 5.5, 0, 3, 3, 2.5],
    [6, 6, 6.5, 3, 0, 2, 3.5],
    [6, 6, 6.5, 3, 2, 0, 3.5],
    [3.5, 3.5, 4, 2.5, 3.5, 3.5, 0],
]


def random_tree(num_nodes, seed, directed=False):
    """A tree with edge weights; some edges have length 0."""
    random = np.random.default_rng(seed)
    tree = nx.DiGraph() if directed else nx.Graph()
    tree.add_nodes_from(range(num_nodes))
    for node in range(1, num_nodes):
        tree.add_edge(int(random.integers(node)), node, weight=float(random.choice([0, 0.5, 1, 2.25])))
    return tree


def test_tree_distances_are_the_lengths_of_the_paths():
    tree = LabelTree.from_nested(NESTED)
    assert tree.class_names == NAMES
    assert ground_distance_from_tree(tree).tolist() == PATHS
    assert ground_distance_from_tree(tree, normalize=True).max() == 1


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_tree_distances_agree_with_networkx(seed, directed):
    graph = random_tree(40, seed, directed)
    classes = [3, 17, 0, 29, 8, 31, 39, 1]  # some lie below others
    tree = LabelTree.from_networkx(graph, class_names=classes)
    lengths = dict(nx.all_pairs_dijkstra_path_length(graph.to_undirected()))
    expected = [[lengths[i][j] for j in classes] for i in classes]
    np.testing.assert_allclose(tree.distances(), expected, atol=1e-12)
    assert tree.class_names == [str(name) for name in classes]


def test_a_tree_comes_from_a_file_and_follows_the_classes_of_a_model(tmp_path):
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(NESTED))
    tree = LabelTree.from_json(path)
    assert tree.distances().tolist() == PATHS
    path.write_text(json.dumps({"parents": {"a": "x", "b": "x", "c": None, "x": "c"}, "lengths": {"b": 3}}))
    assert LabelTree.from_json(path).distances().tolist() == [[0, 4], [4, 0]]
    turned = tree.reordered(NAMES[::-1])
    assert turned.class_names == NAMES[::-1]
    assert turned.distances().tolist() == np.array(PATHS)[::-1, ::-1].tolist()
    below = {
        frozenset(turned.class_names[k] for k in turned.order[a:b])
        for a, b in zip(turned.starts, turned.ends, strict=True)
    }
    assert frozenset(["apple", "pear", "bread"]) in below


@pytest.mark.parametrize("edges", [[("apple", "fruit"), ("pear", "fruit"), ("fig", "fruit")], [("apple", "pear")]])
def test_every_leaf_of_an_undirected_tree_is_a_class(edges):
    leaves = [name for name in ("apple", "pear", "fig") if any(name in edge for edge in edges)]
    for root in (None, *nx.Graph(edges)):  # a leaf stays one where it is the root
        tree = LabelTree.from_networkx(nx.Graph(edges), root=root)
        assert tree.class_names == leaves
        assert tree.distances().max() == (1 if len(leaves) == 2 else 2)


NO_TREE = "graph must be a tree: connected, without a cycle, and if it is directed with edges from parent to child;"
ERRORS = [
    (lambda: LabelTree.from_nested({}), "the root of the label tree must hold a dictionary or a list with at least one "
     "class; got {}. A class has None or the length of its edge."),
    (lambda: LabelTree.from_nested({"a": "b"}), "'a' of the label tree must hold a dictionary or a list with at least "
     "one class; got 'b'. A class has None or the length of its edge."),
    (lambda: LabelTree.from_nested({"a": [1.5]}), "a list in 'a' of the label tree must hold class names or "
     "dictionaries of one group; got 1.5."),
    (lambda: LabelTree.from_nested({"a": ["x"], "b": ["x"]}),
     "a label tree must have each class once; 'x' is given twice."),
    (lambda: LabelTree.from_nested({"a": -1, "b": None}),
     "the lengths of a label tree's edges must be finite and not negative; got -1."),
    (lambda: LabelTree.from_parents([1, 0]), "a label tree must have one root, a node without a parent; got 0."),
    (lambda: LabelTree.from_parents([-1, 2, 1]),
     "all nodes of a label tree must be connected to its root; 2 of 3 are not: there is a cycle."),
    (lambda: LabelTree([-1, 5], [0], ["a"]), "each parent in a label tree must be a node, -1 or None; node 1 has 5."),
    (lambda: LabelTree.from_parents([-1, 0], class_names=[7]),
     "class_names must name nodes of the label tree; it has no 7."),
    (lambda: LabelTree.from_parents([-1, 0], lengths={4: 1.0}),
     "lengths must name nodes of the label tree; it has no 4."),
    (lambda: LabelTree.from_networkx(nx.cycle_graph(3)), f"{NO_TREE} got 3 nodes and 3 edges that are none."),
    (lambda: LabelTree.from_networkx(nx.DiGraph([(0, 2), (1, 2)])),
     f"{NO_TREE} got 3 nodes and 2 edges that are none."),
    (lambda: LabelTree.from_networkx(nx.Graph()), f"{NO_TREE} got 0 nodes and 0 edges that are none."),
    (lambda: LabelTree.from_networkx(nx.path_graph(3), root="x"),
     "root must be a node of the label tree; it has no 'x'."),
    (lambda: LabelTree([-1, 0], [0, 1], ["a"]), "class_names must hold one name for each of the 2 classes, got 1."),
    (lambda: LabelTree([-1, 0], [2], ["a"]), "classes must be nodes of the label tree, 0 .. 1; got 2."),
    (lambda: LabelTree([-1, 0], [1, 1], ["a", "b"]), "a label tree must have each class once; 1 is given twice."),
    (lambda: LabelTree([-1, 0], [], []), "a label tree must have at least one class; it has none."),
    (lambda: LabelTree([-1, 0], [1], ["a"], [1.0]), "lengths must hold one number for each of the 2 nodes, got 1."),
    (lambda: LabelTree.from_parents([-1, 0], lengths=[1.0, 2.0, 3.0]),
     "lengths must hold one number for each of the 2 nodes, got 3."),
    (lambda: LabelTree.from_nested(["a", "b"]).reordered(["a", "c"]),
     "the label tree must have the 2 classes of the model; it has 2, and 'c' is not in both."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    assert message_of(ValueError, call) == message


def test_a_file_that_holds_no_tree(tmp_path):
    path = tmp_path / "tree.json"
    assert message_of(FileNotFoundError, LabelTree.from_json, path) == (
        f"a label tree must be a .json file; there is no {path}."
    )
    path.write_text('{"a": []}')
    assert message_of(ValueError, LabelTree.from_json, path).startswith(f"{path}: 'a' of the label tree must hold")


def test_groups_may_be_nested_to_any_depth():
    nested = {"a": None, "b": 0.5}
    for _ in range(5000):
        nested = {"group": nested}
    assert LabelTree.from_nested(nested | {"c": None}).distances()[2].tolist() == [5002, 5001.5, 0]
