"""The site is built from docs/ without a warning, whole, and asks nobody for anything."""

import os
import re
import subprocess
import sys

import pytest
from tests.docs.pages import ROOT

import squared_emd


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    told = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0 and "WARNING" not in told.stderr, told.stderr
    return folder


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("docs_site")]


def test_every_public_name_has_its_place(site):
    found = "".join(page.read_text() for page in (site / "api").rglob("*.html"))
    missing = [name for name in squared_emd.__all__ if not re.search(rf'id="squared_emd\.([\w.]+\.)?{name}"', found)]
    assert missing == []


def test_fields_show_their_help(site):
    page = (site / "api" / "arguments" / "index.html").read_text()
    assert "lambda of Eq. 16: a number, or auto" in page
    assert page.count('<h3 id="squared_emd.EMDTrainingArguments.') >= 20


def test_equations_are_mathml(site):
    page = (site / "losses" / "squared_emd" / "index.html").read_text()
    assert "<math" in page and "arithmatex" not in page and "$$" not in page


def test_nothing_is_fetched(site):
    loads = re.compile(
        r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"|<link[^>]+stylesheet[^>]+href="(https?:[^"]+)"'
    )
    asked = {path.name: loads.findall(path.read_text()) for path in site.rglob("*.html")}
    assert {name: found for name, found in asked.items() if found} == {}
