"""For every test: nothing is fetched, and each worker of pytest-xdist computes on one thread."""

import gc
import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def quick_collection():
    """Each run of a recipe collects garbage several times; what was there before need not be looked at."""
    gc.freeze()
    yield
    gc.unfreeze()
