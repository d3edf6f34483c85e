"""What turns the pages into the site: equations, links out of docs/, docstrings."""

import doctest
import importlib.util
import sys

import pytest
from tests.docs.pages import ROOT

HOOKS = sorted((ROOT / "docs" / "hooks").glob("*.py"))


def load(file):
    spec = importlib.util.spec_from_file_location(f"docs_hooks_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", HOOKS, ids=lambda file: file.stem)
def test_doctests(file):
    assert doctest.testmod(load(file)).failed == 0


def test_an_equation_in_a_paragraph_of_its_own():
    mathml = load(ROOT / "docs" / "hooks" / "mathml.py")
    page = mathml.on_page_content('<p>a</p><div class="arithmatex">\\[\nx &lt; 1\n\\]</div>')
    assert page.startswith('<p>a</p><div class="equation"><math') and "<mo>&#x0003C;</mo>" in page
    assert 'display="block"' in page and "arithmatex" not in page


def test_every_outside_page_is_there():
    outside = load(ROOT / "docs" / "hooks" / "outside_pages.py")
    assert [path for path in outside._PAGES if not (ROOT / path).is_file()] == []
