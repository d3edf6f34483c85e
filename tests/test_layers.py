"""Imports point downward: the lower floors run without the libraries of those above."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "squared_emd"
HEAVY = ("transformers", "datasets", "accelerate", "timm", "torchvision", "matplotlib", "evaluate", "huggingface_hub")
FLOORS = {
    "losses": {"torch"},
    "ground_distance": {"torch"},
    "centroids": {"torch"},
    "label_tree": set(),
    "relatedness": set(),
    "features": {"torch"},
    "decode": {"torch", "numpy"},
    "finite": {"torch"},
    "metrics": {"numpy", "scipy"},
    "randomness": {"torch"},
}


def loaded_by(name, source=SOURCE):
    """Top-level packages that the file or folder alone brings into a fresh interpreter, of those we watch."""
    path = source / name / "__init__.py" if (source / name).is_dir() else source / f"{name}.py"
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('floor', {str(path)!r})\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['floor'] = module\n"
        "spec.loader.exec_module(module)\n"
        f"print(*(name for name in {(*HEAVY, 'torch', 'scipy', 'squared_emd')!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_floor_zero_stands_alone(name):
    assert loaded_by(name) <= FLOORS[name]


def test_this_test_can_fail(tmp_path):
    (tmp_path / "losses.py").write_text("import torch\nimport transformers\n")
    assert "transformers" in loaded_by("losses", tmp_path)
