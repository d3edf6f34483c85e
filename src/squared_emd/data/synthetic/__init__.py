"""Synthetic data, on which the recipes run without a dataset.

`draw_faces`, `draw_groups`, `draw_compositions` and `draw_shapes` draw images from random numbers and lay them out as
one of the paper's datasets lies on disk, ready for its loader; nothing comes from a dataset. Each takes the folder to
make, or one that already holds this very set, and makes one in the user's cache if that is None. The same arguments
give the same bytes (with the same Pillow, NumPy and SciPy), another seed gives other images. Images have `size` x
`size` pixels. A folder with something else in it is a FileExistsError, numbers that do not fit are a ValueError.
"""
