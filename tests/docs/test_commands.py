"""Commands in the pages can be typed: programs, files and options are there. Nothing is run."""

import importlib.util
import re
import shlex
import sys

import pytest
from accelerate.commands.launch import launch_command_parser
from tests.docs.pages import PAGES, ROOT, fences, inline, name_of
from torch.distributed.run import get_args_parser as torchrun_parser
from transformers import HfArgumentParser

from squared_emd import __main__ as command_line

PAGES = [*PAGES, ROOT / "CONTRIBUTING.md"]
SHELL = ("sh", "bash", "shell", "console")
OTHERS = {"pip", "hf", "source", "mkdocs", "pytest", "ruff"}  # not ours
SETTING = re.compile(r"[A-Z_]+=\S*")


def commands(page):
    """The commands of the shell blocks, and those within a sentence that start a recipe."""
    lines = []
    for fence in fences(page):
        if fence.language in SHELL:
            lines += fence.text.replace("\\\n", " ").splitlines()
    lines += [child.content for child in inline(page) if child.type == "code_inline" and "recipes/" in child.content]
    found = []
    for line in lines:
        for part in re.split(r"&&|\|\||;", line.partition("  #")[0]):
            words = shlex.split(part, comments=True)
            if words and (len(words) > 1 or words[0] in OTHERS):
                found.append(words)
    return found


def check(words):
    """Raises where a command cannot be typed so; argparse ends the program with what is wrong."""
    while SETTING.fullmatch(words[0]):
        words = words[1:]
    if words[:2] == ["uv", "run"]:
        words = words[2:]
        while words[0].startswith("--"):
            words = words[2:] if words[0] == "--extra" else words[1:]
    program, *rest = words
    if program == "accelerate":
        assert rest[0] == "launch"
        given = launch_command_parser().parse_args(rest[1:])
        check_program([given.training_script, *given.training_script_args])
    elif program == "torchrun":
        given = torchrun_parser().parse_args(rest)
        check_program([given.training_script, *given.training_script_args])
    elif program == "python":
        check_program(rest)
    else:
        assert program in OTHERS or words[:2] == ["pip", "install"], f"unknown program {program}"


def check_program(words):
    if words[0] == "-m":
        if words[1] == "squared_emd":
            command_line.main(words[2:])
        else:
            assert importlib.util.find_spec(words[1]) is not None, words
        return
    script, *options = words
    file = ROOT / script
    assert file.is_file(), f"there is no {script}"
    if file.parent.name == "recipes":
        HfArgumentParser(arguments_of(file)).parse_args(options)
    else:
        source = file.read_text(encoding="utf-8")
        for option in options:
            if option.startswith("--"):
                assert f'"{option.partition("=")[0]}"' in source, f"{script} has no {option}"


def arguments_of(recipe):
    """The dataclass with a recipe's command line."""
    name = f"recipes_{recipe.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, recipe)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    here = vars(sys.modules[name]).items()
    own = [cls for key, cls in here if key.endswith("Arguments") and cls.__module__ == name]
    return own[0] if own else next(cls for key, cls in here if key.endswith("Arguments"))


@pytest.fixture(autouse=True)
def nothing_is_done(monkeypatch):
    import squared_emd.hub.upload
    import squared_emd.reports

    class Commit:
        repo_url = "nowhere"

    monkeypatch.setattr(squared_emd.reports, "write_report", lambda *_: "")
    monkeypatch.setattr(squared_emd.hub.upload, "push_model", lambda *_, **__: Commit())


@pytest.mark.xdist_group("docs_commands")
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_commands(page, capsys):
    for words in commands(page):
        try:
            check(words)
        except SystemExit as ended:
            pytest.fail(f"{shlex.join(words)}\n{ended.code} {capsys.readouterr().err}")


@pytest.mark.parametrize(
    "command",
    [
        "accelerate launch recipes/adience.py --no_such_option 1",
        "accelerate launch --no_such_option recipes/adience.py",
        "torchrun --nproc_per_node 2 recipes/adience.py --odd_labels sometimes",
        "python -m squared_emd no_such_command",
    ],
)
def test_an_option_that_is_not_there_is_found(command, capsys):
    with pytest.raises(SystemExit):
        check(shlex.split(command))


def test_a_file_that_is_not_there_is_found():
    with pytest.raises(AssertionError, match=r"^there is no recipes/no_such.py"):
        check(["python", "recipes/no_such.py"])
