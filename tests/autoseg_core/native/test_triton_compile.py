"""Triton kernels compile for a GPU that need not be there."""

from __future__ import annotations

from typing import Any

import pytest

from autoseg_core.native import triton_launch


@pytest.mark.parametrize(
    ("name", "dtype", "label", "classes", "sigmoid"),
    [
        ("sums_kernel", "fp16", "i32", 2, False),
        ("gradient_kernel", "bf16", "i16", 32, True),
    ],
)
def test_compiles_for_a_gpu(
    name: str,
    dtype: str,
    label: str,
    classes: int,
    sigmoid: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    """To machine code for compute capability 9.0, which need not be there: of upsampled logits."""
    triton = pytest.importorskip("triton")
    gpu = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    from autoseg_core.native import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(triton_kernels, name)
    tiling, strides = triton_launch._TILINGS[classes], ("i32", "i32", "i32", "i32")
    problem: Any = triton_launch.Problem(
        logits=triton_launch.Map(f"*{dtype}", strides),  # type: ignore[arg-type]
        target=triton_launch.Map(f"*{label}", strides),  # type: ignore[arg-type]
        tables=("*fp32", "*fp32"),  # type: ignore[arg-type]
        places=("*i32", "*fp32") * 2,  # type: ignore[arg-type]
        shape=("i32",) * 5,  # type: ignore[arg-type]
        ignore="i32",  # type: ignore[arg-type]
        rectangles="i32",  # type: ignore[arg-type]
        programs="i32",  # type: ignore[arg-type]
    )
    types: dict[str, Any] = {
        "problem": problem,
        "out": triton_launch.Map("*fp32", strides),  # type: ignore[arg-type]
        **dict.fromkeys(("partial", "upstream"), "*fp32"),
    }
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    constants = {"SIGMOID": sigmoid, "PIECES": 2, "BLOCK_C": classes, "BLOCK_P": tiling.pixels}
    source = triton.compiler.ASTSource(kernel, signature, constants)
    assert triton.compile(source, target=gpu, options={"num_warps": tiling.warps}).asm["cubin"]
