"""Our C code for the CPU, compiled once with the machine's own compiler; without one, PyTorch does the work."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from ctypes import POINTER, c_double, c_float, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["BatchOfC", "DistancesOfC", "kernels", "kernels_for"]

logger = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.c")
SWITCH = "SQUARED_EMD_KERNELS"  # set to 0 in the environment, everything is left to PyTorch

_FLAGS = ("-O3", "-std=c11", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_INSTRUCTIONS = {
    "AVX512": ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma"),
    "AVX2": ("-mavx2", "-mfma"),
}
_SECONDS = 20  # that a compiler may take; it takes a quarter of one


class BatchOfC(ctypes.Structure):
    """``Batch`` of ``kernels.c``."""

    _fields_ = (
        ("logits", c_void_p),
        ("logits_step", c_int64),
        ("labels", c_void_p),
        ("targets", c_void_p),
        ("size", c_int64),
        ("num_classes", c_int64),
        ("values", c_void_p),
        ("sum", c_void_p),
        ("gradient", c_void_p),
        ("slopes", c_void_p * 2),
        ("zeros", c_int64),
        ("scale", c_float),
        ("threads", c_int),
    )


class DistancesOfC(ctypes.Structure):
    """``Distances`` of ``kernels.c``."""

    _fields_ = (("numbers", c_void_p), ("step", c_int64), ("by_sample", c_int), ("is_double", c_int))


_ARGUMENTS = {
    "squared_emd": [POINTER(BatchOfC), c_void_p, c_int],
    "self_guided": [POINTER(BatchOfC), POINTER(DistancesOfC), c_void_p, c_double, *[c_float] * 4],
    "expected_cost": [POINTER(BatchOfC), POINTER(DistancesOfC), c_float],
}


def kernels_for(logits: Tensor, labels: Tensor) -> ctypes.CDLL | None:
    """The compiled functions where they can work on this batch.

    Args:
        logits: (B, K).
        labels: (B,) or (B, K).

    Returns:
        The functions of ``kernels.c``, or None: the logits are not plain float32 in the memory of the host, row by row,
        or are being traced (``torch.compile``, ``torch.func``), or nothing could be compiled here.
    """
    plain = type(logits) in (Tensor, torch.nn.Parameter) and type(labels) is Tensor
    if not plain or logits.dtype != torch.float32 or logits.stride(1) != 1:
        return None
    if not logits.is_cpu or not labels.is_cpu or logits.layout != torch.strided:
        return None
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or logits.is_neg():
        return None
    if forward_ad._current_level >= 0:  # forward-mode derivatives
        return None
    return kernels()


@cache
def kernels() -> ctypes.CDLL | None:
    """The functions of ``kernels.c``.

    Returns:
        None where there is no C compiler, no folder to keep what it makes, or ``SQUARED_EMD_KERNELS`` is 0.
    """
    if os.environ.get(SWITCH) == "0":
        return None
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang"))), None)
    if compiler is None or os.name != "posix":
        logger.info("The losses run in plain PyTorch: there is no C compiler here, or none that is known.")
        return None
    try:
        path = _compiled(compiler)
        try:
            library = _loaded(path)
        except (OSError, AttributeError):  # a damaged file, or one that another kind of machine made
            path.unlink()
            library = _loaded(_compiled(compiler))
    except (OSError, AttributeError, RuntimeError, subprocess.SubprocessError) as error:
        logger.info("The losses run in plain PyTorch: kernels.c could not be compiled or loaded (%s).", error)
        return None
    return library


def _loaded(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name, arguments in _ARGUMENTS.items():
        getattr(library, name).argtypes = arguments
    return library


def _compiled(compiler: str) -> Path:
    """The library in the user's cache; made where it is not there yet, whole or not at all."""
    capability = torch.backends.cpu.get_cpu_capability()  # the cache may be shared by machines that differ
    flags = (*_FLAGS, *_INSTRUCTIONS.get(capability, ()))
    content = (
        SOURCE.read_bytes() + repr((compiler, flags, os.uname().machine, sys.platform, platform.libc_ver())).encode()
    )
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "squared-emd" / "kernels"
    library = cache_folder / f"{hashlib.sha256(content).hexdigest()[:16]}.so"
    if library.exists():
        return library
    cache_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder) as folder:
        made = Path(folder, library.name)
        command = [compiler, *flags, str(SOURCE), "-o", str(made), "-lm"]
        how = {"capture_output": True, "stdin": subprocess.DEVNULL, "timeout": _SECONDS}
        with_threads = subprocess.run([*command, "-fopenmp"], **how)
        if with_threads.returncode:  # a compiler without OpenMP: one thread
            subprocess.run(command, check=True, **how)
        os.replace(made, library)  # at once: another process may load it
    return library
