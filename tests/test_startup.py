"""What starting up imports: nothing slow before it is used, and nothing less than before then."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import squared_emd
from squared_emd import experiments

ROOT = Path(__file__).resolve().parents[1]
SLOW = (
    "accelerate", "datasets", "evaluate", "matplotlib", "ot", "pandas", "pyarrow", "scipy", "sympy", "timm",
    "torch._dynamo", "torch._inductor", "torch.utils.cpp_extension", "torchvision", "transformers",
    "transformers.modeling_utils", "transformers.pipelines", "transformers.trainer", "triton",
)  # fmt: skip
BY_ARGUMENTS = {"accelerate", "transformers"}  # which transformers.TrainingArguments takes, a recipe's command line
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.py"))
PACKAGES = (squared_emd, experiments)


def run(code, *arguments):
    """The lines that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "already registered" not in done.stderr  # as transformers warns
    return done.stdout.splitlines()


def slow_after(code):
    (line,) = run(f"import sys\n{code}\nprint([name for name in {SLOW!r} if name in sys.modules])")
    return ast.literal_eval(line)


class TestImport:
    def test_imports_nothing_slow(self):
        assert slow_after("import squared_emd") == []

    @pytest.mark.parametrize("name", ["metrics", "labels", "cross_validation", "class_metrics"])
    def test_a_part_imports_nothing_slow(self, name):
        assert slow_after(f"import squared_emd.{name}") == []

    def test_this_test_can_fail(self):
        assert slow_after("import squared_emd\nsquared_emd.EMDTrainingArguments") == sorted(BY_ARGUMENTS)

    def test_adds_only_itself_to_torch_and_transformers(self):
        code = (
            "import sys, torch, transformers\nbefore = set(sys.modules)\nimport squared_emd\n"
            "packages = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
            "print(sorted(packages - sys.stdlib_module_names))"
        )
        assert run(code) == ["['squared_emd']"]


class TestCommandLine:
    # runs each in one process, one after the other, and says after each what is there; argparse ends by SystemExit
    CODE = (
        "import contextlib, io, runpy, sys\n"
        "for command in sys.argv[1:]:\n"
        "    sys.argv = command.split()\n"
        "    said = io.StringIO()\n"
        "    with contextlib.redirect_stdout(said):\n"
        "        try:\n"
        "            run = runpy.run_path if sys.argv[0].endswith('.py') else runpy.run_module\n"
        "            run(sys.argv[0], run_name='__main__')\n"
        "        except SystemExit as ended:\n"
        "            print(ended.code)\n"
        "    print([command, said.getvalue().splitlines()[-1], [name for name in %r if name in sys.modules]])\n"
    )

    def ended(self, *commands):
        """For each of them its last line, which is its exit status or its message, and what is slow and there."""
        told = [ast.literal_eval(line) for line in run(self.CODE % (SLOW,), *commands)]
        assert [command for command, _, _ in told] == list(commands)
        return [(last, set(slow)) for _, last, slow in told]

    def test_help_of_a_recipe(self):
        commands = [f"recipes/{recipe}.py --help" for recipe in RECIPES]
        assert self.ended(*commands) == [("0", BY_ARGUMENTS)] * len(RECIPES)
        assert len(RECIPES) == 8

    def test_a_wrong_value(self):
        commands = [f"recipes/adience.py {option}" for option in ("--loss mae", "--omega -1", "--seeds 0")]
        messages = [
            "loss must be xe, reg, emd, xemd1, xemd2, a-emd, several of them with commas, or all, got 'mae'.",
            "omega must be greater than 0, got -1.0.",
            "seeds must be at least 1, got 0.",
        ]
        assert self.ended(*commands) == [(f"adience.py: {message}", BY_ARGUMENTS) for message in messages]

    def test_help_of_the_package(self):
        commands = [f"squared_emd {words}" for words in ("--help", "push --help", "report --help")]
        assert self.ended(*commands) == [("0", set())] * 3

    def test_this_test_can_fail(self):
        ((_, slow),) = self.ended("squared_emd report /nowhere")
        assert slow == {"matplotlib"}


class TestNames:
    def test_used_for_the_first_time(self):
        """In a fresh process: unpickled, as the doors of the packages, imported with a star, and by help()."""
        code = (
            "import pickle, sys\n"
            "things = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
            "from squared_emd import *\nimport squared_emd\n"
            "for name, thing in zip(squared_emd.__all__, things, strict=True):\n"
            "    of_module = getattr(sys.modules[thing.__module__], name)\n"
            "    print(name, thing is globals()[name] is getattr(squared_emd, name) is of_module)\n"
            "print('---')\n"
            "from squared_emd.experiments import *\n"
            "from squared_emd import experiments\n"
            "for name in experiments.__all__:\n"
            "    print(name, globals()[name] is getattr(sys.modules[globals()[name].__module__], name))\n"
            "print('---')\nhelp(squared_emd)"
        )
        pickled = pickle.dumps([getattr(squared_emd, name) for name in squared_emd.__all__]).hex()
        told, of_experiments, helped = "\n".join(run(code, pickled)).split("\n---\n")
        assert told.splitlines() == [f"{name} True" for name in squared_emd.__all__]
        assert of_experiments.splitlines() == [f"{name} True" for name in experiments.__all__]
        assert not [name for name in squared_emd.__all__ if f"{name}(" not in helped]

    @pytest.mark.parametrize("package", PACKAGES)
    def test_dir_has_them_before_they_are_used(self, package):
        code = f"import {package.__name__} as package\nprint(set(package.__all__) - set(dir(package)))"
        assert run(code) == ["set()"]
        assert {"__doc__", "__name__", *package.__all__} <= set(dir(package))

    @pytest.mark.parametrize("package", PACKAGES)
    def test_no_such_name(self, package):
        with pytest.raises(AttributeError, match=rf"^module '{package.__name__}' has no attribute 'EMDTrainr'$"):
            package.EMDTrainr  # noqa: B018
        with pytest.raises(ImportError, match=rf"^cannot import name 'EMDTrainr' from '{package.__name__}' \("):
            exec(f"from {package.__name__} import EMDTrainr")
        assert not hasattr(package, "__wrapped__")  # which inspect and doctest ask for

    @pytest.mark.parametrize("package", PACKAGES)
    def test_type_checkers_are_told_the_same(self, package):
        """The names that are imported under TYPE_CHECKING are those of the table, and are no modules' names."""
        (block,) = [node for node in ast.parse(Path(package.__file__).read_text()).body if isinstance(node, ast.If)]
        (lazily,) = block.orelse
        table = ast.literal_eval(lazily.value.args[1])
        assert {alias.name: node.module for node in block.body for alias in node.names} == table
        assert set(table) <= set(package.__all__)
        assert not [name for name in table if Path(package.__path__[0], name).with_suffix(".py").exists()]


class TestRegistration:
    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            # the networks, the pipeline; squared_emd itself imports neither library
            ("squared_emd timm transformers.pipelines", ["", "False"]),
            ("squared_emd.vision", ["alxs alx res", "False"]),
            ("transformers.pipelines timm squared_emd.hub squared_emd.vision", ["alxs alx res", "True"]),
        ],
    )
    def test_by_import(self, order, expected):
        code = (
            "import importlib, sys\n"
            "for name in sys.argv[1:]:\n    importlib.import_module(name)\n"
            "import timm\nfrom transformers.pipelines import PIPELINE_REGISTRY\n"
            "print(*filter(timm.is_model, ('alxs', 'alx', 'res')))\n"
            "print('ordinal-image-classification' in PIPELINE_REGISTRY.supported_tasks)\n"
            "print([finder for finder in sys.meta_path if type(finder).__module__.startswith('squared_emd')])"
        )
        assert run(code, *order.split()) == [*expected, "[]"]

    def test_the_pipeline_and_the_networks_need_nothing_else(self):
        """As the README has it, in a fresh process; on the device meta a network has no weights to draw."""
        code = (
            "import squared_emd.hub, squared_emd.vision, timm, torch\n"
            "from PIL import Image\n"
            "from transformers import AutoModelForImageClassification, TimmWrapperConfig, TimmWrapperImageProcessor\n"
            "from transformers import pipeline\n"
            "config = TimmWrapperConfig(architecture='alxs_needs_import_squared_emd', num_labels=8)\n"
            "with torch.device('meta'):\n"
            "    print(AutoModelForImageClassification.from_config(config).timm_model.classifier)\n"
            "described = timm.get_pretrained_cfg('test_resnet').to_dict()\n"
            "config = TimmWrapperConfig(architecture='test_resnet', pretrained_cfg=described, num_labels=3)\n"
            "model = AutoModelForImageClassification.from_config(config)\n"
            "processor = TimmWrapperImageProcessor(described, architecture='test_resnet')\n"
            "ask = pipeline('ordinal-image-classification', model=model, image_processor=processor, device='cpu')\n"
            "print(type(ask).__name__, len(ask(Image.new('RGB', (64, 64)))['distribution']))"
        )
        assert run(code) == [
            "Linear(in_features=512, out_features=8, bias=True)",
            "OrdinalImageClassificationPipeline 3",
        ]
