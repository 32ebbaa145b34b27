"""Weight files of any kind -> Detectron2's checkpoint dicts.

The suffix is ignored. No code in a file is executed: PyTorch files are loaded with
``weights_only``, other pickles by an unpickler that builds plain containers and NumPy arrays.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from auto_seg_loss.runtime.errors import ConfigError

NESTS = (
    *("model", "state_dict", "model_state", "model_state_dict"),
    *("model_ema", "state_dict_ema", "ema_state_dict", "ema"),
)
"""Keys for a state dict in files of training scripts; of several, the first is read."""

_DEPTH = 4  # maximum nesting: a pickle can contain itself

_ZIP = b"PK\x03\x04"
_OLD_TORCH = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
"""First bytes of files by torch.save since PyTorch 1.6, and before."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a weight file, with its state dict, name -> CPU tensor, as "model".

    Reads files of ``torch.save`` in both formats, safetensors, and pickles of NumPy arrays as in
    Detectron2's model zoo. The state dict may be nested in one of ``NESTS``. Caffe2 blobs get the
    entries that make Detectron2 translate their names. Objects of other classes, such as training
    options, are skipped.

    Raises:
        ConfigError: the file is of another kind, damaged, or holds no state dict of finite
            numbers.
        OSError: the file cannot be read.
    """
    try:
        content = _read(path)
        state = _state_dict(content)
    except OSError:
        raise
    except Exception as error:  # a truncated file can fail in any way
        raise ConfigError(
            f"{path} is damaged or not a weight file ({type(error).__name__}: {error}). Use a "
            "file of torch.save(model.state_dict(), FILE) or safetensors, or a pickle from "
            "Detectron2's model zoo."
        ) from None
    if broken := next((n for n, t in state.items() if not t.isfinite().all()), None):
        raise ConfigError(
            f"{path} holds NaN or infinity, first in {broken}: the training that wrote it "
            "diverged; use an earlier checkpoint."
        )
    others = {k: v for k, v in content.items() if isinstance(k, str) and k not in (*NESTS, *state)}
    return {**others, "model": state}


def is_whole(path: Path) -> bool:
    """Whether a file is a zip, as from ``torch.save``; all checksums of its parts must match."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # as above
        return False


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(64)
    if head[5:9] == b"\0\0\0{":  # JSON after its length in 8 bytes
        return load_file(path)
    if head.startswith(_ZIP):
        if not is_whole(path):
            raise ValueError("parts are missing or wrong")
        with path.open("rb") as file:
            others = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        with torch.serialization.safe_globals([(_Foreign, name) for name in others]):
            return _read_torch(path)
    return _read_torch(path) if head.startswith(_OLD_TORCH) else _read_arrays(path)


def _read_torch(path: Path) -> Any:
    with path.open("rb") as file:  # of a path, torch.load looks at the suffix
        return torch.load(file, map_location="cpu", weights_only=True)


def _read_arrays(path: Path) -> Any:
    with path.open("rb") as file:
        content = _ArrayUnpickler(file, encoding="latin1").load()
    if not isinstance(content, dict) or "model" in content:
        return content
    # From Caffe2, by Detectron2's rule: its own pickles have "model".
    blobs = content.get("blobs", content)
    model = {name: blob for name, blob in blobs.items() if not name.endswith("_momentum")}
    return {"model": model, "__author__": "Caffe2", "matching_heuristics": True}


class _Foreign:
    """Placeholder for an object of a class that is not loaded; drops its content."""

    def __new__(cls, *_: Any, **__: Any) -> _Foreign:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class _ArrayUnpickler(pickle.Unpickler):
    """Builds only plain containers and NumPy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(("numpy.core.", "numpy._core.")):  # before and since NumPy 2
            module = module.rpartition(".")[2]
        return _KNOWN.get((module, name), _Foreign)


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numeric", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # how protocol 2 writes bytes
}


def _state_dict(content: Any) -> dict[str, Tensor]:
    """The tensors of a state dict, which may be nested; ValueError for anything else."""
    for _ in range(_DEPTH):
        nest = next((key for key in NESTS if isinstance(content, Mapping) and key in content), "")
        content = content[nest] if nest else content
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds no state dict but {type(content).__name__}")
    state = {name: _tensor(value) for name, value in content.items() if _is_weight(name, value)}
    if not state:
        raise ValueError(f"it holds no tensors but {list(content)[:5]}")
    return state


def _is_weight(name: Any, value: Any) -> bool:
    numeric = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    return isinstance(name, str) and (numeric or isinstance(value, Tensor))


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    # A copy: arrays in a pickle can be read-only or have the other byte order.
    return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))
