"""Processes that talk to a `HubServer`: huggingface_hub reads its settings once, so each has its own."""

import importlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import huggingface_hub

KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")  # nothing else of this process's own
NOT_INSTALLED = 'import importlib.util\nassert importlib.util.find_spec("squared_emd") is None\n'


def environment(server, tmp_path, token="hf_me"):
    """The whole environment of a process that knows no Hub but `server`, no proxy and no token but `token`.

    Its cache and its home lie in `tmp_path`: where another process must fetch anew, give it another folder.
    """
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    own |= {"HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    own |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HOME": str(tmp_path), "HF_HOME": str(Path(tmp_path) / "huggingface")}
    return own | {"OMP_NUM_THREADS": "1"} | ({"HF_TOKEN": token} if token else {})


def become_client(server, tmp_path):
    """Gives this process, a forked one, that environment, as if it had begun with it."""
    os.environ.clear()
    os.environ.update(environment(server, tmp_path))
    importlib.reload(huggingface_hub.constants)
    huggingface_hub.close_session()


def run_python(code_or_path, env, cwd, timeout, *, arguments=(), flags=(), search=()):
    """Runs Python code (a string) or a file (a `Path`) in a process of its own; the `CompletedProcess`, with its text.

    Args:
        arguments: what the program finds in sys.argv[1:].
        flags: options of Python itself.
        search: folders for PYTHONPATH, before those of `env`.
    """
    program = [str(code_or_path)] if isinstance(code_or_path, Path) else ["-c", code_or_path]
    folders = [*map(str, search), *filter(None, [env.get("PYTHONPATH")])]
    env = env | ({"PYTHONPATH": os.pathsep.join(folders)} if folders else {})
    command = [sys.executable, *flags, *program, *map(str, arguments)]
    return subprocess.run(command, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True)


def without_squared_emd(tmp_path):
    """Keyword arguments for `run_python`: everything that is installed can be imported there, but squared_emd cannot.

    A folder of links to all of site-packages but the package stands for it, and `-S` keeps Python from reading the
    `.pth` file of an editable installation. The program proves it: its first lines are `NOT_INSTALLED`.
    """
    folder = Path(tmp_path) / "site-packages-without-squared-emd"
    if not folder.exists():
        folder.mkdir(parents=True)
        for packages in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for entry in Path(packages).iterdir():
                if "squared_emd" not in entry.name and entry.suffix != ".pth":
                    (folder / entry.name).symlink_to(entry)
    return {"flags": ["-S"], "search": [folder]}
