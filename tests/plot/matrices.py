"""Ground distances to draw, and what tests of figures share."""

import numpy as np
from tests.errors import message_of

AGES = ["baby", "child", "adult", "old"]
NAN = "matrix must be finite; got nan in row 0, column 1; set unknown distances to 0"


def of_line(num_classes):
    """|i - j| / K."""
    positions = np.arange(num_classes)
    return np.abs(positions[:, None] - positions) / num_classes


def of_points(points):
    return np.linalg.norm(points[:, None] - points, axis=-1)


def of_groups(num_groups, size):
    """Distances of shuffled classes in groups, and the group of each."""
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(num_groups), size))
    points = 3 * rng.normal(size=(num_groups, 8))[group] + 0.3 * rng.normal(size=(len(group), 8))
    return of_points(points), group


def without(matrix, *classes):
    """The same, of a run that never saw some classes."""
    matrix = np.array(matrix, dtype=float)
    for k in classes:
        matrix[k] = matrix[:, k] = 0
    return matrix


def shown_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def refused(draw, message, *args, error=ValueError, **kwargs):
    assert message_of(error, draw, *args, **kwargs) == message
