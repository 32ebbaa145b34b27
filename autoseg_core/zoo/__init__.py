"""The zoo: searched losses, published ones and ours, one JSON file each, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from autoseg_core.files import user_path
from autoseg_core.scores.grammar import as_known
from autoseg_core.spec import LossSpec, SpecError
from autoseg_core.surrogates import AutoSegLoss
from autoseg_core.void import IgnoreIndex

RECOMMENDED = {
    "mIoU": "idd-miou-bezier",
    "FWIoU": "idd-miou-bezier",
    "mAcc": "voc-macc-bezier",
    "gAcc": "idd-miou-bezier",
    "BIoU": "idd-miou-bezier",
    "BF1": "idd-miou-bezier",
}
"""Metric -> the recommended zoo loss. ``load_spec`` ignores the case of the metric."""


def zoo_names() -> list[str]:
    """Names that ``load_spec`` and ``load_loss`` know, sorted."""
    files = resources.files(__name__).iterdir()
    return sorted(f.name.removesuffix(".json") for f in files if f.name.endswith(".json"))


def load_spec(name_or_path: str | Path) -> LossSpec:
    """Read a spec from the zoo by name or metric, or from a JSON file by path.

    "mIoU" is the recommended loss of that metric (``RECOMMENDED``). A ``Path``, and a string that
    ends in ``.json`` or contains a slash, is a path; any other string is a name, ignoring case,
    even if a file has that name. Raises ``SpecError`` for an unknown name (listing the known ones)
    and for a file that is not a valid spec, and ``FileNotFoundError`` for a missing file.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".json") or "/" in text:
        path = user_path(name_or_path)
        if not path.is_file():
            raise FileNotFoundError(f"No loss file at {path}; names in the zoo: {_known()}.")
        # Editors on Windows start a file with a byte order mark, which utf-8-sig skips.
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        return LossSpec.from_json(text, origin=str(path))
    name = RECOMMENDED.get(as_known(text, RECOMMENDED), as_known(text, zoo_names()))
    if name not in zoo_names():
        raise SpecError(
            f"Unknown loss {text!r}; known losses: {_known()}; metrics, for the recommended loss "
            f"of each: {', '.join(RECOMMENDED)}. A path must end in .json. soft_loss() takes any "
            "metric, unsearched."
        )
    file = resources.files(__name__) / f"{name}.json"
    return LossSpec.from_json(file.read_text(encoding="utf-8"), origin=f"zoo/{name}.json")


def load_loss(
    name_or_path: str | Path, ignore_index: IgnoreIndex = 255, **options: Any
) -> AutoSegLoss:
    """The loss of a spec: ``loss(logits (N, C, H, W), target (N, H, W)) -> scalar``.

    See ``load_spec`` for names and errors, ``AutoSegLoss`` for shapes and the other ``options``.
    """
    return AutoSegLoss(load_spec(name_or_path), ignore_index, **options)


def _known() -> str:
    return ", ".join(zoo_names())
