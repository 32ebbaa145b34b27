"""Triton kernels compile for a GPU that need not be there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from autoseg_core.native import triton_launch


def _compiled(
    kernel: Any,
    dtype: str,
    label: str,
    classes: int,
    upsampled: bool = False,
    sigmoid: bool = False,
) -> bytes:
    """Machine code for compute capability 9.0, of logits whose rows follow each other."""
    triton = pytest.importorskip("triton")
    gpu = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    tiling, strides = triton_launch._TILINGS[classes], ("i32", "i32", "i32", "i32")
    problem: Any = triton_launch.Problem(
        logits=triton_launch.Map(f"*{dtype}", strides),  # type: ignore[arg-type]
        target=triton_launch.Map(f"*{label}", strides),  # type: ignore[arg-type]
        tables=("*fp32", "*fp32"),  # type: ignore[arg-type]
        places=("*i32", "*fp32") * 2 if upsampled else "constexpr",  # type: ignore[arg-type]
        shape=("i32",) * 5,  # type: ignore[arg-type]
        ignore="i32",  # type: ignore[arg-type]
        rectangles="i32",  # type: ignore[arg-type]
        programs="i32",  # type: ignore[arg-type]
    )
    types: dict[str, Any] = {
        "problem": problem,
        "out": triton_launch.Map("*fp32" if upsampled else f"*{dtype}", strides),  # type: ignore[arg-type]
        **dict.fromkeys(("partial", "upstream"), "*fp32"),
    }
    constants: dict[Any, Any] = {
        **{"SIGMOID": sigmoid, "PIECES": 2, "BLOCK_C": classes, "BLOCK_P": tiling.pixels}
    }
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    if not upsampled:
        constants[0, triton_launch.Problem._fields.index("places")] = None
    source = triton.compiler.ASTSource(kernel, signature, constants)
    code = triton.compile(source, target=gpu, options={"num_warps": tiling.warps})
    return bytes(code.asm["cubin"])


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("sums_kernel", partial(_compiled, dtype="fp16", label="i32", classes=2, upsampled=True)),
        (
            "gradient_kernel",
            partial(_compiled, dtype="bf16", label="i16", classes=32, upsampled=True, sigmoid=True),
        ),
    ],
)
def test_compiles_for_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str, build: Callable[[Any], bytes]
) -> None:
    """To machine code of an H100, which need not be there: types and registers fit."""
    pytest.importorskip("triton")
    from autoseg_core.native import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    assert build(getattr(triton_kernels, name))
