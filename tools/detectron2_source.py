"""What must change in Detectron2 v0.6 for its Python files to run today, and the wheel of them.

No line of Detectron2 is kept here: an edit is a pattern, what takes its place, and how often it is
expected in which file. A source that differs there fails with the counts and makes no wheel.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PLACEHOLDER = Path(__file__).with_name("detectron2_placeholder.py")
# The local part tells this build from upstream's own, and from one made with other edits.
_RECIPE = hashlib.sha256(Path(__file__).read_bytes() + PLACEHOLDER.read_bytes()).hexdigest()[:8]
VERSION = f"0.6+python.{_RECIPE}"

# Packages that upstream's setup.py takes from outside the package's folder.
PROJECTS = {
    "projects/PointRend/point_rend": "detectron2/projects/point_rend",
    "projects/DeepLab/deeplab": "detectron2/projects/deeplab",
    "projects/Panoptic-DeepLab/panoptic_deeplab": "detectron2/projects/panoptic_deeplab",
}

# Upstream's own list, less what it no longer needs, and without upper bounds: `black` is used by
# LazyConfig.to_py alone, `future` and `pydot` by the Caffe2 export that PyTorch dropped.
REQUIREMENTS = (
    "Pillow>=7.1",
    "matplotlib",
    "pycocotools>=2.0.2",
    "termcolor>=1.1",
    "yacs>=0.1.8",
    "tabulate",
    "cloudpickle",
    "tqdm>4.29.0",
    "tensorboard",
    "fvcore>=0.1.5,<0.1.6",
    "iopath>=0.1.7",
    "omegaconf>=2.1",
    "hydra-core>=1.1",
)


class SourceError(Exception):
    """The source is not the one the edits were written for."""


@dataclass(frozen=True)
class Edit:
    """Replace the regular expression `pattern` everywhere; `places`: how often in which file."""

    why: str
    pattern: str
    replacement: str
    places: Mapping[str, int]


EDITS = (
    Edit(
        "NumPy 1.24 removed the alias np.bool",
        r"\bnp\.bool\b",
        "bool",
        {
            "detectron2/evaluation/pascal_voc_evaluation.py": 2,
            "detectron2/structures/masks.py": 3,
            "detectron2/utils/video_visualizer.py": 1,
            "detectron2/utils/visualizer.py": 3,
        },
    ),
    Edit(
        "NumPy 1.24 removed the alias np.int",
        r"\bnp\.int\b",
        "int",
        {"detectron2/data/build.py": 2, "detectron2/evaluation/sem_seg_evaluation.py": 2},
    ),
    Edit(
        "NumPy 1.24 removed the alias np.float",
        r"\bnp\.float\b",
        "float",
        {"detectron2/evaluation/sem_seg_evaluation.py": 5},
    ),
    Edit("NumPy 1.24 removed the alias np.object", r"\bnp\.object\b", "object", {}),
    Edit(
        "NumPy 1.24 removed the alias np.str",
        r"\bnp\.str\b",
        "str",
        {"detectron2/data/datasets/pascal_voc.py": 1},
    ),
    Edit(
        "Pillow 10 removed Image.LINEAR, a synonym of BILINEAR",
        r"\bImage\.LINEAR\b",
        "Image.BILINEAR",
        {"detectron2/data/transforms/transform.py": 1},
    ),
    Edit(
        "setuptools 82 removed pkg_resources: its import",
        r"(?m)^import pkg_resources\n",
        "",
        {"detectron2/model_zoo/model_zoo.py": 1},
    ),
    Edit(
        "setuptools 82 removed pkg_resources: its use",
        r'pkg_resources\.resource_filename\(\s*"detectron2\.model_zoo",',
        "os.path.join(\n        os.path.dirname(os.path.abspath(__file__)),",
        {"detectron2/model_zoo/model_zoo.py": 1},
    ),
)


def apply_edits(root: Path, edits: Sequence[Edit] = EDITS) -> int:
    """Apply `edits` to every Python file below `root`; returns the number of places changed.

    A changed file gets a last line that says so, as its licence asks.
    Raises SourceError, naming what was expected and what was found, when an edit's counts differ.
    """
    old = {
        path.relative_to(root).as_posix(): path.read_text("utf-8") for path in root.rglob("*.py")
    }
    new, changed = dict(old), 0
    for edit in edits:
        found: dict[str, int] = {}
        for name in sorted(new):
            new[name], count = re.subn(edit.pattern, edit.replacement, new[name])
            if count:
                found[name] = count
        if found != dict(edit.places):
            raise SourceError(
                f"{edit.why}: expected {_counts(edit.places)}, found {_counts(found)}. "
                "This is not the source the edits were written for."
            )
        changed += sum(found.values())
    for name, text in new.items():
        if text != old[name]:
            note = (
                "# Changed for current NumPy, Pillow and setuptools by tools/install_detectron2.py"
            )
            (root / name).write_text(f"{text.rstrip()}\n\n{note}\n", "utf-8")
    return changed


def _counts(places: Mapping[str, int]) -> str:
    return ", ".join(f"{name} × {n}" for name, n in sorted(places.items())) or "no place"


def arrange(source: Path, package_root: Path) -> None:
    """Copy what belongs into the wheel: packages, projects, model zoo configs, placeholder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "csrc")
    wanted = {"detectron2": "detectron2", **PROJECTS}
    for origin, target in wanted.items():
        if not (source / origin / "__init__.py").is_file():
            raise SourceError(f"expected a package {origin}/ in the source, found none in {source}")
        shutil.copytree(source / origin, package_root / target, ignore=ignore, dirs_exist_ok=True)
    placeholder = package_root / "detectron2" / "_C.py"
    if placeholder.exists():
        raise SourceError("expected no detectron2/_C.py in the source, found one")
    shutil.copyfile(PLACEHOLDER, placeholder)


def build_wheel(source: Path, work: Path, wheel_dir: Path) -> Path:
    """Edit a copy (below `work`) of the unpacked `source`; returns its wheel in `wheel_dir`."""
    root = work / "package"
    arrange(source, root)
    apply_edits(root)
    info = root / f"detectron2-{VERSION}.dist-info"
    (info / "licenses").mkdir(parents=True)
    shutil.copyfile(source / "LICENSE", info / "licenses" / "LICENSE")
    requires = "".join(f"Requires-Dist: {requirement}\n" for requirement in REQUIREMENTS)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: detectron2\nVersion: {VERSION}\n"
        "Summary: Detectron2 v0.6 without compiled operators, mended for current packages\n"
        "License-Expression: Apache-2.0\nLicense-File: LICENSE\nRequires-Python: >=3.10\n"
        f"{requires}"
    )
    (info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: install_detectron2\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n"
    )
    wheel_dir.mkdir(parents=True, exist_ok=True)
    return _pack(root, info, wheel_dir / f"detectron2-{VERSION}-py3-none-any.whl")


def _pack(root: Path, info: Path, wheel: Path) -> Path:
    """Write all files below `root` and the RECORD of their hashes into the zip file `wheel`."""
    record = f"{info.name}/RECORD"
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            name, data = path.relative_to(root).as_posix(), path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo(record), "".join(lines) + f"{record},,\n")
    return wheel
