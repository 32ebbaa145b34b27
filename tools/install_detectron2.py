"""Install Detectron2 where it is missing: `python tools/install_detectron2.py`.

If `import detectron2` works (for example your own build from upstream), this prints its version and
stops; only an installation by an older version of this script is replaced. Otherwise pip downloads
v0.6's source package (so your index and proxy settings apply) and checks its sha256; its Python
files are patched for current NumPy, Pillow and setuptools and installed: all of Detectron2 except
its compiled operators. Install PyTorch and torchvision first.

This script contains no code of Detectron2, only replacements.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

REQUIREMENT = (
    "pb1-detectron2==0.6 "
    "--hash=sha256:5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29\n"
)
PLACEHOLDER = Path(__file__).with_name("detectron2_placeholder.py")
# The local part distinguishes this build from upstream's, and from one made with other edits.
_RECIPE = hashlib.sha256(Path(__file__).read_bytes() + PLACEHOLDER.read_bytes()).hexdigest()[:8]
VERSION = f"0.6+python.{_RECIPE}"
INSTALL_PAGE = "https://detectron2.readthedocs.io/tutorials/install.html"

# Regular expressions and their replacements in every Python file.
EDITS = {
    # NumPy 1.24 removed the aliases of Python's types.
    r"\bnp\.(bool|int|float|str)\b": r"\1",
    # Pillow 10 removed this synonym.
    r"\bImage\.LINEAR\b": "Image.BILINEAR",
    # setuptools 82 removed pkg_resources.
    r"(?m)^import pkg_resources\n": "",
    r'pkg_resources\.resource_filename\(\s*"detectron2\.model_zoo",': (
        "os.path.join(\n        os.path.dirname(os.path.abspath(__file__)),"
    ),
}
NOTE = "# Changed for current NumPy, Pillow and setuptools by tools/install_detectron2.py\n"

# Upstream's setup.py compiles the operators, and its requirements have outdated upper bounds: our
# setup.cfg has the requirements.
SETUP = f"""
from setuptools import find_packages, setup

projects = {{
    "detectron2.projects.point_rend": "projects/PointRend/point_rend",
    "detectron2.projects.deeplab": "projects/DeepLab/deeplab",
    "detectron2.projects.panoptic_deeplab": "projects/Panoptic-DeepLab/panoptic_deeplab",
}}
setup(
    name="detectron2",
    version={VERSION!r},
    license="Apache-2.0",
    packages=[*find_packages(include=["detectron2", "detectron2.*"]), *projects],
    package_dir=projects,
    package_data={{"detectron2.model_zoo": ["configs/**/*.yaml", "configs/**/*.py"]}},
)
"""

PROBE = """
import detectron2
from importlib.metadata import PackageNotFoundError, version
try:
    found = version("detectron2")
except PackageNotFoundError:  # a source tree on the path
    found = detectron2.__version__
print(f"{found} at {detectron2.__path__[0]}")
"""


class InstallError(Exception):
    """Detectron2 could not be installed; the text says why and what to do."""


def main() -> int:
    try:
        found = installed()
        if found is not None and not outdated(found):
            print(f"detectron2 is already installed: {found}")
            return 0
        print(f"detectron2 is now installed: {install()}")
    except InstallError as error:
        print(f"install_detectron2: {error}", file=sys.stderr)
        return 1
    return 0


def installed() -> str | None:
    """Version and folder of the Detectron2 that this Python imports, or None when there is none.

    Raises InstallError if there is one but its import fails: replacing it is the user's decision.
    """
    # Probe from the root directory, where no folder can shadow the package.
    probe = _run(["-c", PROBE], cwd=Path(sys.executable).anchor)
    if probe.returncode == 0:
        return probe.stdout.strip().splitlines()[-1]
    if "No module named 'detectron2'" in probe.stderr:
        return None
    raise InstallError(
        f"a Detectron2 is installed but its import fails:\n{probe.stderr}"
        "Repair it, or remove it with `pip uninstall detectron2` and run this again."
    )


def outdated(found: str) -> bool:
    """Whether `installed` found a build of this script with other edits."""
    version = found.split()[0]
    return version.startswith("0.6+python") and version != VERSION


def install() -> str:
    """Download, patch, install; returns the new result of `installed`."""
    if missing := [name for name in ("torch", "torchvision") if find_spec(name) is None]:
        raise InstallError(f"Detectron2 needs {' and '.join(missing)}; install that first")
    with tempfile.TemporaryDirectory(prefix="detectron2-") as folder:
        source = fetch(Path(folder))
        mend(source)
        options = ("--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall")
        done = _run(["-m", "pip", "--no-input", "install", *options, str(source)])
    found = installed()
    if done.returncode or found is None:
        raise InstallError(f"pip could not install the patched Detectron2:\n{done.stderr}")
    return found


def fetch(work: Path) -> Path:
    """Let pip fetch the source package, check its sha256, unpack it below `work`: that folder.

    After these steps pip reads the package's metadata and may fail (it has an optional dependency
    with a URL, which pip refuses from an index). By then everything needed is on disk: --no-clean
    keeps it, TMPDIR sets the place.
    """
    requirement, kept = work / "requirement.txt", work / "pip"
    requirement.write_text(REQUIREMENT)
    kept.mkdir()
    options = ("--no-clean", "--no-deps", "--no-build-isolation", "--no-binary", ":all:")
    command = ["-m", "pip", "--no-input", "download", *options, "-d", str(work)]
    done = _run([*command, "-r", str(requirement)], env={"TMPDIR": str(kept)})
    folders = [path.parent for path in kept.glob("*/*/PKG-INFO")]
    if len(folders) == 1:
        return folders[0]
    raise InstallError(
        f"pip could not fetch {REQUIREMENT.split()[0]}; see whether the package index can be "
        f"reached, or build Detectron2 from upstream's sources: {INSTALL_PAGE}\nWhat pip said:\n"
        f"{done.stderr}"
    )


def mend(source: Path) -> None:
    """Edit the unpacked source package in place, so that pip installs it without compiling.

    A changed file gets a last line that says so, as its licence requires.
    """
    for path in source.rglob("*.py"):
        old = new = path.read_text("utf-8")
        for pattern, replacement in EDITS.items():
            new = re.sub(pattern, replacement, new)
        if new != old:
            path.write_text(f"{new.rstrip()}\n\n{NOTE}", "utf-8")
    shutil.copyfile(PLACEHOLDER, source / "detectron2" / "_C.py")
    (source / "setup.py").write_text(SETUP)


def _run(
    arguments: list[str], cwd: str | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with the arguments."""
    command, environment = [sys.executable, *arguments], {**os.environ, **(env or {})}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # only --help
    sys.exit(main())
