"""Bundles a metric module as a folder that stands alone, as a Space of the Hub must."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parent
REQUIREMENTS = ["evaluate>=0.4.6", "datasets>=4.0", "numpy>=2.0"]
EXTRA_REQUIREMENTS = {
    "expected_score_correlation": ["pandas>=2.0", "scipy>=1.13"],
    "squared_emd": ["pot>=0.9.5"],
}
_IMPORT = re.compile(r"^from (\.+)((?:\w+\.)*)(\w+) import", re.MULTILINE)


def write_space(name: str, folder: str | Path) -> Path:
    """Writes the folder of a metric that ``evaluate.load`` takes where this package is not installed.

    It holds the module, the files of this package that it imports, ``requirements.txt``, the metric card as
    ``README.md``, and a Gradio page, ``app.py``. Files of these names are overwritten.

    Args:
        name: of the metric, as :func:`load_metric` takes it.
        folder: where to write; created where it does not exist. ``evaluate`` requires that it is called like the
            metric, or to be given the path of the module file.

    Returns:
        The folder.

    Raises:
        ValueError: there is no metric of this name.
    """
    card = PACKAGE / "cards" / f"{name}.md"
    if not card.exists():
        raise ValueError(
            f"there is no metric {name!r}; there are {', '.join(sorted(c.stem for c in card.parent.iterdir()))}."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # evaluate copies the files that the module imports, but not those that these import: the module names them all.
    sources = [PACKAGE / f"{name}.py"]
    for source in sources:
        text = source.read_text(encoding="utf-8")
        for dots, packages, module in _IMPORT.findall(text):
            imported = source.parents[len(dots) - 1].joinpath(*packages.split("."), f"{module}.py")
            if imported not in sources:
                sources.append(imported)
        (folder / source.name).write_text(_IMPORT.sub(r"from .\3 import", text), encoding="utf-8")
    app = (PACKAGE / "space_app.py").read_text(encoding="utf-8")
    app = re.sub(r"^NAME = .*$", f'NAME = "{name}"', app, flags=re.MULTILINE)
    (folder / "app.py").write_text(app, encoding="utf-8")
    (folder / "README.md").write_text(card.read_text(encoding="utf-8"), encoding="utf-8")
    requirements = [*REQUIREMENTS, *EXTRA_REQUIREMENTS.get(name, [])]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    return folder
