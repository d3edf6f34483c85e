"""Datasets as `datasets.Dataset` objects: the paper's four, people's own, and synthetic ones to try things on.

Import from the module that names the dataset, for instance `from squared_emd.data.adience import load_adience`:
a loader then costs nothing to those who do not use it.
"""

from importlib.util import find_spec

_MISSING = [name for name in ("PIL", "scipy", "sklearn", "soundfile") if find_spec(name) is None]
if _MISSING:
    raise ImportError(
        "squared_emd.data reads datasets with Pillow, SciPy, scikit-learn and soundfile, which are not all installed "
        f'({_MISSING[0]} is missing): pip install "squared-emd[recipes]"'
    )
