"""Every Python block of README.md and docs/ runs; those of a page in their order, in one namespace.

A block that cannot run has `<!--- skip: next "why" -->` before it, and its reason stands in `NOT_RUN`.
"""

import re

import pytest
from tests.docs.pages import PAGES, ROOT, fences, name_of
from tests.docs.run_page import document_of, run
from tests.hub.clients import environment, run_python
from tests.hub.server import HubServer

NOT_RUN = {}  # page -> reasons
ON_HUB = {"docs/tutorial.md": "me/grades", "docs/checkpoints.md": "me/age"}  # these push a model: to a Hub on loopback
PYTHON = ("python", "py", "python3")
WITH_BLOCKS = [page for page in PAGES if any(fence.language in PYTHON for fence in fences(page))]


@pytest.mark.parametrize("page", [page for page in WITH_BLOCKS if name_of(page) not in ON_HUB], ids=name_of)
def test_blocks(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run(page)


def test_blocks_that_push(tmp_path):
    """In a process of its own: huggingface_hub reads its endpoint when it is imported."""
    with HubServer() as server:
        program = ROOT / "tests" / "docs" / "run_page.py"
        told = run_python(program, environment(server, tmp_path), tmp_path, 180, arguments=ON_HUB, search=[ROOT])
        assert told.returncode == 0, told.stderr
        for name in ON_HUB.values():
            assert "config.json" in server.repo(name).files()


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_no_block_is_overlooked(page):
    found = [fence for fence in fences(page) if fence.language in PYTHON]
    run_here = [example for example in document_of(page).examples() if isinstance(example.parsed, str)]
    assert len(run_here) == len(found)


def test_nothing_is_skipped_in_silence():
    skips = {name_of(page): re.findall(r"<!--+ *skip: *(.*?) *-->", page.read_text()) for page in PAGES}
    assert {page: reasons for page, reasons in skips.items() if reasons} == NOT_RUN


def test_a_block_that_fails_is_found(tmp_path):
    broken = tmp_path / "broken.md"
    broken.write_text("```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 2\n```\n")
    document = document_of(broken)
    with pytest.raises(AssertionError):
        for example in document.examples():
            example.evaluate()
    assert document.namespace["x"] == 1
