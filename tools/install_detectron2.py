"""Install Detectron2 where it is missing: `python tools/install_detectron2.py`.

If `import detectron2` works (a build of your own from upstream, say), this says which one and
stops; only its own earlier work, made with other edits, is replaced. Otherwise it fetches v0.6's
source package with pip (so your index and proxy settings hold), checks its sha256, mends its Python
files (detectron2_source.py), and installs them as a pure-Python wheel: all of Detectron2 but its
compiled operators. PyTorch and torchvision must be installed before.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

from detectron2_source import VERSION as OURS
from detectron2_source import SourceError, build_wheel

NAME, VERSION = "pb1-detectron2", "0.6"
SHA256 = "5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29"
INSTALL_PAGE = "https://detectron2.readthedocs.io/tutorials/install.html"
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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--sdist", type=Path, help="use this downloaded source package, fetch nothing"
    )
    parser.add_argument("--wheel-dir", type=Path, help="keep the wheel in this folder")
    arguments = parser.parse_args(argv)
    try:
        found = installed()
        if found is not None and not outdated(found):
            print(f"detectron2 is installed already: {found}")
            return 0
        print(f"detectron2 is now installed: {install(arguments.sdist, arguments.wheel_dir)}")
    except (InstallError, SourceError) as error:
        print(f"install_detectron2: {error}", file=sys.stderr)
        return 1
    return 0


def installed() -> str | None:
    """Version and folder of the Detectron2 that this Python imports, or None when there is none.

    Raises InstallError when there is one and its import fails: replacing it is the user's decision.
    """
    # Probe from the root directory: there, no folder can pose as the package.
    probe = _run([sys.executable, "-c", PROBE], cwd=Path(sys.executable).anchor)
    if probe.returncode == 0:
        return probe.stdout.strip().splitlines()[-1]
    if "No module named 'detectron2'" in probe.stderr:
        return None
    raise InstallError(
        f"a Detectron2 is installed but its import fails:\n{probe.stderr}"
        "Mend it, or remove it with `pip uninstall detectron2` and run this again."
    )


def outdated(found: str) -> bool:
    """Whether what `installed` found was made here, with other edits than today's."""
    version = found.split()[0]
    return version.startswith("0.6+python") and version != OURS


def install(sdist: Path | None, wheel_dir: Path | None) -> str:
    """Fetch (unless `sdist` is given), mend, pack, install; returns what `installed` then says."""
    with tempfile.TemporaryDirectory(prefix="detectron2-") as folder:
        work = Path(folder)
        source = unpack(sdist, work) if sdist else fetch(work)
        wheel = build_wheel(source, work, wheel_dir or work)
        missing = [name for name in ("torch", "torchvision") if find_spec(name) is None]
        if missing:
            raise InstallError(f"Detectron2 needs {' and '.join(missing)}; install that first")
        done = _pip("install", "--no-deps", "--no-index", "--force-reinstall", str(wheel))
        if done.returncode:
            raise InstallError(f"pip could not install {wheel.name}:\n{done.stderr}")
    found = installed()
    if found is None:
        raise InstallError(
            f"pip installed {wheel.name}, yet {sys.executable} cannot import detectron2"
        )
    return found


def fetch(work: Path, sha256: str = SHA256) -> Path:
    """Let pip fetch the source package, check its sha256, unpack it below `work`: that folder.

    After these steps pip asks the package for its metadata and fails (it names an optional
    dependency by URL, which pip refuses from an index). By then all we need is on disk: --no-clean
    keeps it, TMPDIR says where.
    """
    requirement = work / "requirement.txt"
    requirement.write_text(f"{NAME}=={VERSION} --hash=sha256:{sha256}\n")
    kept = work / "pip"
    kept.mkdir()
    options = ("--no-clean", "--no-deps", "--no-build-isolation", "--no-binary", ":all:")
    done = _pip(
        "download", *options, "-d", str(work), "-r", str(requirement), env={"TMPDIR": str(kept)}
    )
    folders = [path.parent for path in kept.glob("*/*/PKG-INFO")]
    if len(folders) == 1:
        return folders[0]
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise InstallError(f"the index's {NAME}=={VERSION} is another file:\n{done.stderr}")
    raise InstallError(
        f"pip could not fetch {NAME}=={VERSION}; see whether the package index can be reached.\n"
        "Without a network, give a downloaded source package with --sdist, or build Detectron2\n"
        f"from upstream's sources: {INSTALL_PAGE}\nWhat pip said:\n{done.stderr}"
    )


def unpack(sdist: Path, work: Path, sha256: str = SHA256) -> Path:
    """Check the sha256 of the source package `sdist`, unpack it below `work`: that folder."""
    if not sdist.is_file():
        raise InstallError(f"--sdist: there is no file {sdist}")
    found = hashlib.sha256(sdist.read_bytes()).hexdigest()
    if found != sha256:
        raise InstallError(
            f"{sdist} is not the source package of {NAME} {VERSION}: "
            f"expected sha256 {sha256}, found {found}"
        )
    target = work / "sdist"
    with tarfile.open(sdist) as archive:
        # Python 3.10.0 to 3.10.11 have no filters; the sha256 above vouches for the archive there.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(target)
    return next(target.iterdir())


def _pip(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-m", "pip", "--no-input", *arguments], env=env)


def _run(
    command: list[str], cwd: str | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True
    )


if __name__ == "__main__":
    sys.exit(main())
