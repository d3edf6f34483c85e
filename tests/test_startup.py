"""What starting up imports, and what is registered by which import. Each test has a process of its own."""

import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

import squared_emd

ROOT = Path(__file__).resolve().parents[1]
SLOW = (
    "datasets", "evaluate", "matplotlib", "ot", "pandas", "pyarrow", "scipy", "sklearn", "timm", "torch._dynamo",
    "torchvision", "transformers.modeling_utils", "transformers.pipelines", "transformers.trainer",
)  # fmt: skip
PRINT_SLOW = f"print([name for name in {SLOW!r} if name in sys.modules])\n"
HELP = """
import contextlib, io, runpy, sys
for command in sys.argv[1:]:
    sys.argv = command.split()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            (runpy.run_path if sys.argv[0].endswith(".py") else runpy.run_module)(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            print(ended.code)
    print(output.getvalue().splitlines()[-1])
"""


def run(code, *arguments):
    """The lines that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "already registered" not in done.stderr  # as transformers warns
    return done.stdout.splitlines()


def test_importing_the_package_imports_nothing_slow():
    lazy, used = run(f"import sys, squared_emd\n{PRINT_SLOW}squared_emd.EMDTrainer\n{PRINT_SLOW}")
    assert lazy == "[]"
    assert "'transformers.trainer'" in used


def test_help_and_wrong_values_come_before_anything_slow():
    recipes = sorted(f"recipes/{path.name} --help" for path in (ROOT / "recipes").glob("*.py"))
    *told, slow = run(
        HELP + PRINT_SLOW, "squared_emd --help", "squared_emd push --help", *recipes, "recipes/adience.py --seeds 0"
    )
    # With PEFT installed, transformers' own arguments import more.
    (of_transformers,) = run(f"import sys\nfrom transformers import TrainingArguments\n{PRINT_SLOW}")
    assert told == ["0"] * (2 + len(recipes)) + ["adience.py: seeds must be at least 1, got 0."]
    assert set(literal_eval(slow)) <= set(literal_eval(of_transformers))


def test_public_names_are_lazy_and_complete():
    code = (
        "import squared_emd\n"
        "print(set(squared_emd.__all__) - set(dir(squared_emd)))\n"
        "from squared_emd import *\n"
        "print(all(name in globals() for name in squared_emd.__all__))\n"
    )
    assert run(code) == ["set()", "True"]
    with pytest.raises(AttributeError, match=r"^module 'squared_emd' has no attribute 'EMDTrainr'$"):
        squared_emd.EMDTrainr  # noqa: B018


def test_networks_and_pipeline_are_registered_by_importing_them_alone():
    code = (
        "import sys, squared_emd, timm\nfrom transformers.pipelines import PIPELINE_REGISTRY\n"
        "def registered():\n"
        "    task = 'ordinal-image-classification' in PIPELINE_REGISTRY.supported_tasks\n"
        "    print(*filter(timm.is_model, ('alxs', 'alx', 'res')), task)\n"
        "registered()\nimport squared_emd.vision\nregistered()\nimport squared_emd.hub\nregistered()\n"
        "print([finder for finder in sys.meta_path if type(finder).__module__.startswith('squared_emd')])"
    )
    assert run(code) == ["False", "alxs alx res False", "alxs alx res True", "[]"]
