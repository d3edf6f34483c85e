"""Builds the Python files of ``evaluate_modules``, one folder a Hub Space, from this package's own.

A Space must stand alone, so ``<name>.py`` is the metric's class and every file of this package that it needs, one after
the other. Run it after a change of any of them (a test compares)::

    python -m squared_emd.evaluation.spaces
"""

from __future__ import annotations

import ast
from pathlib import Path

from . import METRICS

SPACES = Path(__file__).parents[1] / "evaluate_modules"
NOTE = "Built from squared-emd by `python -m squared_emd.evaluation.spaces`: change the package and build again."


def space_files(name: str) -> dict[str, str]:
    """The built files of a metric's Space, from file name to text."""
    app = (Path(__file__).parent / "app.py").read_text()
    docstring, _, code = app.partition("\n\n")
    return {f"{name}.py": _joined(Path(__file__).parent / f"{name}.py"), "app.py": f"{docstring}\n\n# {NOTE}\n\n{code}"}


def _joined(path: Path) -> str:
    """A file and those it imports from this package as one file that imports none of them."""
    files: dict[Path, ast.Module] = {}
    _collect(path, files)
    plain, named = set(), {}  # import x; from x import a, b
    bodies = []
    for file, tree in files.items():
        lines = file.read_text().splitlines()
        start = 0
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                start = node.end_lineno
                if node.level == 0:
                    named.setdefault(node.module, set()).update(alias.name for alias in node.names)
            elif isinstance(node, ast.Import):
                start = node.end_lineno
                plain.update(ast.unparse(ast.Import([alias])) for alias in node.names)
        title = ast.get_docstring(tree).splitlines()[0]
        body = "\n".join(lines[start:]).strip()
        bodies.append(body if file == path else f"# {file.stem}: {title}\n\n\n{body}")
    named.pop("__future__")
    return "\n".join(
        [
            f'"""{ast.get_docstring(files[path])}"""',
            "",
            f"# {NOTE}",
            "",
            "from __future__ import annotations",
            "",
            *_sorted_imports(plain, named),
            "",
            "\n\n\n".join(bodies),
            "",
        ]
    )


def _collect(path: Path, files: dict[Path, ast.Module]) -> None:
    """Adds the files that ``path`` imports from this package, then ``path``."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            imported = path.parents[node.level - 1].joinpath(*node.module.split(".")).with_suffix(".py")
            if imported not in files:
                _collect(imported, files)
    files[path] = tree


def _sorted_imports(plain: set[str], named: dict[str, set[str]]) -> list[str]:
    """In the order that ruff gives them: the standard library, then the rest."""
    third_party = ("datasets", "evaluate", "numpy", "pyarrow", "scipy")
    lines = [*sorted(plain), *(f"from {module} import {', '.join(sorted(n))}" for module, n in sorted(named.items()))]
    rest = [line for line in lines if line.split()[1].partition(".")[0] in third_party]
    return [*(line for line in lines if line not in rest), "", *rest]


if __name__ == "__main__":
    for metric in METRICS:
        for file_name, text in space_files(metric).items():
            (SPACES / metric / file_name).write_text(text)
