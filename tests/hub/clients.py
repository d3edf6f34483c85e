"""Processes that talk to a `HubServer`: huggingface_hub reads its settings once, so each has its own."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub

KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")  # nothing else of this process's own


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


def run_python(path, env, cwd, timeout, *, arguments=(), flags=()):
    """Runs a file in a process of its own, with options of Python itself; the `CompletedProcess`, with its text."""
    command = [sys.executable, *flags, str(path), *map(str, arguments)]
    return subprocess.run(command, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True)
