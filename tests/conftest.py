"""For every test: nothing is fetched, and each worker of pytest-xdist computes on one thread."""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish():
    """Each training collects garbage; looking through all that was imported takes six times as long as the training."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    gc.unfreeze()
