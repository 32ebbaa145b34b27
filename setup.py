"""Builds the C++ kernels of autoseg_core.native; everything else of the packages is in setup.cfg.

One library for each instruction set, of which the running machine's best is loaded. Without
PyTorch in the building environment (``pip install --no-build-isolation`` takes that of the
environment that it installs into) or without a C++ compiler, the installation succeeds without
them, and the losses run in plain PyTorch. The kernels use several threads on Linux only: Apple's
compiler has no OpenMP.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

FOLDER = Path("autoseg_core/native/csrc")
SCHEMAS = 2  # as autoseg_core.native.SCHEMAS
# What at::parallel_for needs; without it, it is a plain loop.
OPENMP = ["-fopenmp"] if sys.platform == "linux" else []
# GCC warns of vectors in PyTorch's headers by the thousand.
QUIET = ["-Wno-unknown-pragmas", "-Wno-maybe-uninitialized", "-Wno-psabi"]
FLAGS = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", *QUIET, *OPENMP]
# The names are those of torch.backends.cpu.get_cpu_capability(), the flags those of PyTorch's own
# kernels.
INSTRUCTION_SETS = {"DEFAULT": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    INSTRUCTION_SETS["AVX2"] = ["-mavx2", "-mfma", "-mf16c"]
    INSTRUCTION_SETS["AVX512"] = [
        *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"),
        *("-mfma", "-mf16c"),
    ]


def kernels() -> dict[str, Any]:
    """The arguments of ``setup`` that build the kernels; none where there is no PyTorch."""
    try:
        import torch
        from torch.utils.cpp_extension import BuildExtension, CppExtension
    except ImportError:
        return {}
    # Environments with different PyTorch may share a source tree: each loads its own libraries.
    version = "_".join(torch.__version__.split(".")[:2])
    extensions = [
        CppExtension(
            f"autoseg_core.native.kernels{SCHEMAS}_{name.lower()}_torch{version}",
            [str(FOLDER / f"kernels_{name.lower()}.cpp")],
            depends=[str(path) for path in FOLDER.iterdir()],
            extra_compile_args=[*FLAGS, *flags],
            extra_link_args=OPENMP,
            optional=True,  # without a compiler the installation goes on
        )
        for name, flags in INSTRUCTION_SETS.items()
    ]
    # Ninja's errors do not count as a compiler's, which ``optional`` forgives.
    build = BuildExtension.with_options(use_ninja=False, no_python_abi_suffix=True)
    return {"ext_modules": extensions, "cmdclass": {"build_ext": build}}


setup(**kernels())
