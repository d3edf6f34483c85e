"""README.md and docs/: every Python block runs, every link leads somewhere, every command can be typed."""

import importlib.util
import re
import shlex
import sys
from urllib.parse import urlsplit

import pytest
from accelerate.commands.launch import launch_command_parser
from tests.docs.pages import LINKED, PAGES, ROOT, anchors, fences, inline, name_of
from tests.docs.run_page import document_of, run, run_each
from tests.hub.server import HubServer, client_of
from torch.distributed.run import get_args_parser as torchrun_parser
from transformers import HfArgumentParser

from squared_emd import __main__ as command_line

PYTHON = ("python", "py", "python3")
WITH_BLOCKS = [page for page in PAGES if any(fence.language in PYTHON for fence in fences(page))]
ON_HUB = {"docs/tutorial.md": "me/grades", "docs/checkpoints.md": "me/age"}  # these push a model: to a Hub on loopback
SHELL = ("sh", "bash", "shell", "console")
OTHERS = {"pip", "hf", "source", "mkdocs", "pytest", "ruff", "lint-imports"}  # programs that are not ours
HTTP = "chenlab.ece.cornell.edu"  # has no https

pytestmark = pytest.mark.xdist_group("docs_pages")


class TestBlocks:
    @pytest.mark.parametrize("page", [page for page in WITH_BLOCKS if name_of(page) not in ON_HUB], ids=name_of)
    def test_run_in_their_order(self, page, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        run(page)

    def test_those_that_push_run(self, tmp_path):
        with HubServer() as server, client_of(server, tmp_path):
            run_each(ON_HUB)
            for name in ON_HUB.values():
                assert "config.json" in server.repo(name).files()

    def test_none_is_overlooked_or_skipped(self):
        for page in WITH_BLOCKS:
            found = [fence for fence in fences(page) if fence.language in PYTHON]
            run_here = [example for example in document_of(page).examples() if isinstance(example.parsed, str)]
            assert len(run_here) == len(found), page
            assert not re.search(r"<!--+ *skip:", page.read_text()), page

    def test_one_that_fails_is_found(self, tmp_path):
        broken = tmp_path / "broken.md"
        broken.write_text("```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 2\n```\n")
        with pytest.raises(AssertionError):
            run(broken)


class TestLinks:
    def test_lead_somewhere(self):
        attributes = {"link_open": "href", "image": "src"}
        broken = []
        for page in LINKED:
            for token in inline(page):
                if token.type in attributes and (why := self.why_broken(page, token.attrGet(attributes[token.type]))):
                    broken.append(f"{name_of(page)}: {token.attrGet(attributes[token.type])} {why}")
        assert broken == []

    def test_a_broken_one_is_found(self):
        page = ROOT / "README.md"
        for target in ("docs/method.md#no-such", "docs/nowhere.md", "../README.md", "ftp://a.b", "http://localhost/a"):
            assert self.why_broken(page, target), target
        for target in ("docs/method.md#networks", "#try-it", "https://arxiv.org/abs/1611.05916"):
            assert not self.why_broken(page, target), target

    @staticmethod
    def why_broken(page, target):
        """None for a target that is well formed and, within the repository, is there; nothing is fetched."""
        address = urlsplit(target)
        if address.scheme:
            good = address.scheme == "https" or (address.scheme, address.netloc) == ("http", HTTP)
            return None if good and "." in address.netloc and " " not in target else "is no https address"
        place = (page.parent / address.path).resolve() if address.path else page
        if not place.is_relative_to(ROOT) or not place.exists():
            return "is not there"
        is_anchor = not address.fragment or (place.is_file() and address.fragment in anchors(place))
        return None if is_anchor else "is no heading there"


def commands(page):
    """The commands of the shell blocks, and those within a sentence that start a recipe, as words."""
    lines = []
    for fence in fences(page):
        if fence.language in SHELL:
            lines += fence.text.replace("\\\n", " ").splitlines()
    lines += [child.content for child in inline(page) if child.type == "code_inline" and "recipes/" in child.content]
    parts = [part for line in lines for part in re.split(r"&&|\|\||;", line.partition("  #")[0])]
    found = [shlex.split(part, comments=True) for part in parts]
    return [words for words in found if words and (len(words) > 1 or words[0] in OTHERS)]


def check(words):
    """Raises where a command cannot be typed so; argparse ends the program with what is wrong. Nothing is run."""
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[:2] == ["uv", "run"]:
        words = words[2:]
        while words[0].startswith("--"):
            words = words[2:] if words[0] == "--extra" else words[1:]
    program, *rest = words
    if program == "accelerate":
        assert rest[0] == "launch"
        given = launch_command_parser().parse_args(rest[1:])
        check_program([*["-m"][: bool(given.module)], given.training_script, *given.training_script_args])
    elif program == "torchrun":
        given = torchrun_parser().parse_args(rest)
        check_program([given.training_script, *given.training_script_args])
    elif program == "python":
        check_program(rest)
    elif program == "squared-emd":
        command_line.main(rest)
    else:
        assert program in OTHERS, f"unknown program {program}"


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


class TestCommands:
    @pytest.fixture(autouse=True)
    def nothing_is_done(self, monkeypatch):
        import squared_emd.evaluate_modules
        import squared_emd.hub.upload
        import squared_emd.reports
        import squared_emd.training.calibration
        import squared_emd.training.learned_distance

        class Commit:
            repo_url = "nowhere"

        monkeypatch.setattr(squared_emd.reports, "write_report", lambda *_, **__: "")
        monkeypatch.setattr(squared_emd.reports, "write_comparison", lambda *_, **__: "")
        monkeypatch.setattr(squared_emd.evaluate_modules, "write_space", lambda *_: "")
        monkeypatch.setattr(squared_emd.training.calibration, "write_calibration", lambda **_: "")
        monkeypatch.setattr(squared_emd.training.learned_distance, "write_learned_distance", lambda **_: None)
        monkeypatch.setattr(squared_emd.hub.upload, "push_model", lambda *_, **__: Commit())

    @pytest.mark.parametrize("page", [page for page in LINKED if commands(page)], ids=name_of)
    def test_can_be_typed(self, page, capsys):
        for words in commands(page):
            try:
                check(words)
            except SystemExit as ended:
                if ended.code:  # that of --help is 0
                    pytest.fail(f"{shlex.join(words)}\n{ended.code} {capsys.readouterr().err}")

    @pytest.mark.parametrize(
        "command",
        [
            "accelerate launch recipes/adience.py --no_such_option 1",
            "accelerate launch --no_such_option recipes/adience.py",
            "python -m squared_emd no_such_command",
            "python recipes/no_such.py",
        ],
    )
    def test_what_is_not_there_is_found(self, command):
        with pytest.raises((SystemExit, AssertionError)):
            check(shlex.split(command))
