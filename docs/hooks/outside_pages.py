"""Pages of the repository that do not lie in docs/, as pages of the site; links to them are turned accordingly."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_files", "on_page_markdown"]

_METRICS = (
    "squared_emd",
    "ordinal_accuracy",
    "quadratic_weighted_kappa",
    "expected_score_correlation",
    "top_k_error",
)
# where a file lies in the repository -> where it lies in the site
_PAGES = {
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "model_cards/drawn-faces/README.md": "model_cards/drawn_faces.md",
    "model_cards/drawn-faces/confusion_matrix.png": "model_cards/confusion_matrix.png",
    "model_cards/drawn-faces/ground_distance.png": "model_cards/ground_distance.png",
} | {f"src/squared_emd/evaluate_modules/cards/{name}.md": f"metric_cards/{name}.md" for name in _METRICS}
_FOLDERS = {"model_cards": "model_cards/drawn_faces.md"}  # a link to a folder leads to a page
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site with those of the repository that belong to it."""
    for lies_at, page in _PAGES.items():
        content = (_root(config) / lies_at).read_bytes()
        generated = File.generated(config, page, content=content.decode() if page.endswith(".md") else content)
        files.append(generated)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The text of a page, its links as they lead within the site."""
    here = page.file.src_uri
    origin = {site: repository for repository, site in _PAGES.items()}.get(here, f"docs/{here}")

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link["path"]))
        target = _PAGES.get(target) or _FOLDERS.get(target) or target.removeprefix("docs/")
        if files.get_file_from_path(target) is None:
            return link[0]  # mkdocs reports it
        return os.path.relpath(target, posixpath.dirname(here) or ".").replace(os.sep, "/") + (link["anchor"] or "")

    return _LINK.sub(turned, markdown)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
