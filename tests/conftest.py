"""For every test: nothing is fetched, and each worker of pytest-xdist computes on one thread."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
