"""Classes on a circle, in a tree, in space or by their names, held against exact solvers."""

import json

import networkx as nx
import numpy as np
import ot
import pytest
import torch

from squared_emd import (
    LabelTree,
    blend_ground_distances,
    circular_emd_loss,
    exact_emd_loss,
    ground_distance_from_circle,
    ground_distance_from_positions,
    ground_distance_from_text,
    ground_distance_from_tree,
    squared_emd_loss,
    tree_emd_loss,
)

B = 6
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


def samples(num_classes, soft, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(B, num_classes, generator=generator, dtype=dtype)
    if soft:
        return logits, torch.rand(B, num_classes, generator=generator, dtype=dtype).softmax(-1)
    return logits, torch.randint(num_classes, (B,), generator=generator)


def targets(labels, num_classes):
    return labels.numpy() if labels.dim() == 2 else np.eye(num_classes)[labels.numpy()]


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


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_tree_emd_is_the_transport_over_the_paths(seed, soft):
    graph = random_tree(20, seed)
    tree = LabelTree.from_networkx(graph, root=4)  # its leaves
    logits, labels = samples(tree.num_classes, soft, seed)
    losses = tree_emd_loss(logits, labels, tree, p=1, reduction="none")
    cost = tree.distances()
    expected = [
        ot.emd2(p, t, cost) for p, t in zip(logits.softmax(-1).numpy(), targets(labels, tree.num_classes), strict=True)
    ]
    np.testing.assert_allclose(losses, expected, atol=1e-9)
    assert torch.autograd.gradcheck(lambda x: tree_emd_loss(x, labels, tree, p=2), logits.requires_grad_())


@pytest.mark.parametrize("soft", [False, True])
def test_squared_tree_emd_sums_over_edges_from_the_definition(soft):
    tree = LabelTree.from_nested(NESTED)
    logits, labels = samples(7, soft)
    flows = logits.softmax(-1).numpy() - targets(labels, 7)
    below = [([0, 1, 2], 1), ([0, 1], 1), ([0], 1), ([1], 1), ([2], 2.5), ([3, 4, 5], 1), ([3], 1), ([4, 5], 1)]
    below += [([4], 1), ([5], 1), ([6], 0.5)]
    for p in (1, 1.5, 2):
        expected = sum(length * np.abs(flows[:, classes].sum(1)) ** p for classes, length in below)
        np.testing.assert_allclose(tree_emd_loss(logits, labels, tree, p=p, reduction="none"), expected, atol=1e-12)


@pytest.mark.parametrize("p", [1, 1.5, 2])
@pytest.mark.parametrize("soft", [False, True])
def test_a_chain_is_the_special_case(p, soft):
    spacing = torch.tensor([1.0, 0.5, 3.0, 2.0])
    chain = LabelTree.from_parents([-1, 0, 1, 2, 3], class_names=range(5), lengths=[0, *spacing.tolist()])
    logits, labels = samples(5, soft)
    expected = squared_emd_loss(logits, labels, p=p, spacing=spacing, reduction="none")
    torch.testing.assert_close(tree_emd_loss(logits, labels, chain, p=p, reduction="none"), expected)
    assert chain.distances().tolist() == ground_distance_from_positions([0, 1, 1.5, 4.5, 6.5]).tolist()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("num_classes", [1, 2, 5, 12])
def test_circular_emd_is_that_of_pot(num_classes, soft):
    logits, labels = samples(num_classes, soft, seed=num_classes)
    losses = circular_emd_loss(logits, labels, p=1, reduction="none")
    places = np.arange(num_classes) / num_classes  # POT's circle has length 1
    for loss, p, t in zip(losses, logits.softmax(-1).numpy(), targets(labels, num_classes), strict=True):
        expected = num_classes * ot.wasserstein_circle(places[:, None], places[:, None], p[:, None], t[:, None], p=1)
        np.testing.assert_allclose(loss, expected[0], atol=1e-9)


@pytest.mark.parametrize("soft", [False, True])
def test_circular_emd_with_gaps_is_the_transport_the_shorter_way_round(soft):
    spacing = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0, 1.5])
    logits, labels = samples(6, soft, seed=3)
    losses = circular_emd_loss(logits, labels, p=1, spacing=spacing, reduction="none")
    cost = ground_distance_from_circle(spacing)
    rows = zip(logits.softmax(-1).numpy(), targets(labels, 6), strict=True)
    np.testing.assert_allclose(losses, [ot.emd2(p, t, cost.numpy()) for p, t in rows], atol=1e-9)
    if not soft:
        torch.testing.assert_close(losses, exact_emd_loss(logits, labels, cost, reduction="none"))
    assert torch.autograd.gradcheck(
        lambda x: circular_emd_loss(x, labels, p=1, spacing=spacing), logits.requires_grad_()
    )


@pytest.mark.parametrize("soft", [False, True])
def test_squared_circular_emd_takes_the_best_flow_round(soft):
    from scipy.optimize import minimize_scalar

    spacing = np.array([1.0, 2.0, 0.5, 3.0, 1.5])
    logits, labels = samples(5, soft, seed=4)
    losses = circular_emd_loss(logits, labels, spacing=spacing, reduction="none")
    flows = np.cumsum(logits.softmax(-1).numpy() - targets(labels, 5), axis=1)
    expected = [minimize_scalar(lambda m, row=row: spacing @ (row - m) ** 2, (-1, 1)).fun for row in flows]
    np.testing.assert_allclose(losses, expected, atol=1e-9)
    assert torch.autograd.gradcheck(lambda x: circular_emd_loss(x, labels, spacing=spacing), logits.requires_grad_())


def test_december_lies_beside_january():
    logits = torch.full((2, 12), -30.0)
    logits[0, 11] = logits[1, 6] = 0
    near, far = circular_emd_loss(logits, torch.tensor([0, 0]), p=1, reduction="none").tolist()
    assert near == pytest.approx(1, abs=1e-5)
    assert far == pytest.approx(6, abs=1e-5)
    assert ground_distance_from_circle(12)[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]
    assert ground_distance_from_circle(12, normalize=True).max() == 1


class Encoder:
    def encode(self, texts):
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_distances_of_names_are_percentile_ranks_of_their_embeddings():
    names = ["bad", "mediocre", "ok"]
    directions = np.array([[3, 1], [8, 1], [2, 1]]) / np.sqrt([[10], [65], [5]])
    raw = np.linalg.norm(directions[:, None] - directions[None], axis=-1)
    ranks = (raw[:, None, :] < raw[:, :, None]).sum(-1) / 3  # the entries of a row that are smaller
    np.testing.assert_allclose(ground_distance_from_text(names, Encoder()), (ranks + ranks.T) / 2)
    as_tensors = ground_distance_from_text(names, lambda texts: [torch.tensor([len(text), 1.0]) for text in texts])
    np.testing.assert_allclose(as_tensors, (ranks + ranks.T) / 2)


def test_a_blend_lies_between_and_knows_what_nobody_learned():
    prior = ground_distance_from_positions([0, 1, 4])
    learned = torch.tensor([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]], dtype=torch.float64)
    known = torch.tensor([True, True, False])
    blend = blend_ground_distances(prior, learned, 0.25, known=known)
    assert blend.tolist() == [[0, 0.25 * 0.25 + 0.75 * 0.5, 1], [0.25 * 0.25 + 0.75 * 0.5, 0, 0.75], [1, 0.75, 0]]
    assert blend_ground_distances(prior, learned, 1).equal(prior / 4)
    assert blend_ground_distances(prior, learned, 0).equal(learned)


def test_a_tree_comes_from_a_file_and_follows_the_classes_of_a_model(tmp_path):
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(NESTED))
    tree = LabelTree.from_json(path)
    assert tree.distances().tolist() == PATHS
    path.write_text(json.dumps({"parents": {"a": "x", "b": "x", "c": None, "x": "c"}, "lengths": {"b": 3}}))
    assert LabelTree.from_json(path).distances().tolist() == [[0, 4], [4, 0]]

    names = list(reversed(NAMES))
    again = tree.reordered(names)
    assert again.distances().tolist() == np.array(PATHS)[::-1, ::-1].tolist()
    logits, labels = samples(7, False)
    torch.testing.assert_close(
        tree_emd_loss(logits.flip(1), 6 - labels, again, reduction="none"),
        tree_emd_loss(logits, labels, tree, reduction="none"),
    )


def test_every_leaf_of_an_undirected_tree_is_a_class():
    tree = LabelTree.from_networkx(nx.Graph([("apple", "fruit"), ("pear", "fruit"), ("fig", "fruit")]))
    assert tree.class_names == ["apple", "pear", "fig"]


def test_a_tree_met_in_inference_can_be_trained_on():
    tree = LabelTree.from_nested(NESTED)
    logits, labels = samples(7, False)
    with torch.inference_mode():
        expected = tree_emd_loss(logits, labels, tree)
    loss = tree_emd_loss(logits.requires_grad_(), labels, tree)
    loss.backward()
    assert float(loss) == pytest.approx(float(expected))


def test_a_large_tree_takes_no_k_by_k():
    """A chain of 20,000 classes: K x K float32 would be 1.6 GB."""
    num_classes = 20_000
    chain = LabelTree.from_parents(range(-1, num_classes - 1), class_names=range(num_classes))
    logits, labels = samples(num_classes, False, dtype=torch.float32)
    expected = squared_emd_loss(logits, labels, reduction="none")
    torch.testing.assert_close(tree_emd_loss(logits, labels, chain, reduction="none"), expected, rtol=1e-3, atol=1e-2)


ERRORS = [
    (lambda: LabelTree.from_nested({}), "the root of the label tree must hold a dictionary or a list with at least one "
     "class; got {}. A class has None or the length of its edge."),
    (lambda: LabelTree.from_nested({"a": "b"}), "'a' of the label tree must hold a dictionary or a list with at least "
     "one class; got 'b'. A class has None or the length of its edge."),
    (lambda: LabelTree.from_nested({"a": [1.5]}), "a list in 'a' of the label tree must hold class names or "
     "dictionaries of one group; got 1.5."),
    (lambda: LabelTree.from_nested({"a": ["x"], "b": ["x"]}),
     "a label tree must have at least one class, and each once; 'x' stands there twice."),
    (lambda: LabelTree.from_nested({"a": -1, "b": None}),
     "the lengths of a label tree's edges must be finite and not negative; got -1."),
    (lambda: LabelTree.from_parents([1, 0]), "a label tree must have one root, a node without a parent; got 0."),
    (lambda: LabelTree.from_parents([-1, 2, 1]),
     "all nodes of a label tree must hang on its root; 2 of 3 do not: there is a circle."),
    (lambda: LabelTree([-1, 5], [0], ["a"]), "each parent in a label tree must be a node, -1 or None; node 1 has 5."),
    (lambda: LabelTree.from_parents([-1, 0], class_names=[7]),
     "class_names must name nodes of the label tree; it has no 7."),
    (lambda: LabelTree.from_parents([-1, 0], lengths={4: 1.0}),
     "lengths must name nodes of the label tree; it has no 4."),
    (lambda: LabelTree.from_networkx(nx.cycle_graph(3)),
     "a label tree must have one path between two nodes; this graph has a circle."),
    (lambda: LabelTree.from_networkx(nx.path_graph(3), root="x"),
     "root must be a node of the label tree; it has no 'x'."),
    (lambda: LabelTree.from_networkx(nx.DiGraph([(0, 2), (1, 2)])),
     "a label tree must give each node one parent; 2 has several."),
    (lambda: LabelTree.from_networkx(nx.Graph()), "a label tree must have one root, a node without a parent; got 0."),
    (lambda: LabelTree.from_nested(["a", "b"]).reordered(["a", "c"]),
     "the label tree must have the 2 classes of the model; it has 2, and 'c' is not in both."),
    (lambda: tree_emd_loss(torch.zeros(1, 3), torch.tensor([0]), LabelTree.from_nested(["a", "b"])),
     "the label tree must have the 3 classes of the logits, it has 2."),
    (lambda: tree_emd_loss(torch.zeros(1, 2), torch.tensor([0]), LabelTree.from_nested(["a", "b"]), p=0.5),
     "p must be at least 1 and finite, got 0.5. Use p=2 for Eq. 10 or p=1 for the plain EMD."),
    (lambda: circular_emd_loss(torch.zeros(1, 2), torch.tensor([0]), p=3),
     "p must be 1 (the EMD) or 2 (the squared EMD), got 3."),
    (lambda: circular_emd_loss(torch.zeros(1, 3), torch.tensor([0]), spacing=torch.ones(2)),
     "spacing must hold the K = 3 gaps between neighbours on the circle, the last one from the last class to the "
     "first; got shape (2,)."),
    (lambda: circular_emd_loss(torch.zeros(1, 2), torch.tensor([0]), spacing=torch.zeros(2)),
     "spacing must be finite, not negative and not all 0, got [0.0, 0.0]."),
    (lambda: ground_distance_from_circle([1.0, -1.0]),
     "spacing must be the K gaps between neighbours on the circle, finite and not negative; got [1.0, -1.0]."),
    (lambda: ground_distance_from_text(["a"], lambda texts: [[[1.0]]]), "encode must give one row of numbers for each "
     "of the 1 names, got shape (1, 1, 1). Take the mean over tokens where it gives one a token."),
    (lambda: ground_distance_from_text(["a", "b"], lambda texts: [[1.0], [0.0]]),
     "embeddings must be finite and not all 0; that of 'b' is not."),
    (lambda: blend_ground_distances(torch.eye(2), torch.eye(2), 2), "weight must lie in 0 .. 1, got 2."),
    (lambda: blend_ground_distances(torch.eye(2), torch.eye(3), 1),
     "both ground distances must be (K, K), got (2, 2) and (3, 3)."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message


def test_a_file_that_holds_no_tree(tmp_path):
    path = tmp_path / "tree.json"
    with pytest.raises(FileNotFoundError) as error:
        LabelTree.from_json(path)
    assert str(error.value) == f"a label tree must be a .json file; there is no {path}."
    path.write_text("[")
    with pytest.raises(ValueError, match="must hold a label tree as JSON; reading it gave"):
        LabelTree.from_json(path)
    path.write_text('{"a": []}')
    with pytest.raises(ValueError) as error:
        LabelTree.from_json(path)
    assert str(error.value).startswith(f"{path}: 'a' of the label tree must hold")
