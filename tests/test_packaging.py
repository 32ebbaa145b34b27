"""setup.cfg names what is there: an unlisted package would be missing from an installed copy."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "autoseg_core": ROOT / "autoseg_core",
    "rl": ROOT / "rl",
    "auto_seg_loss": ROOT / "projects" / "AutoSegLoss" / "auto_seg_loss",
}


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("package", SOURCES)
def test_every_package_is_listed(package: str, setup_cfg: configparser.ConfigParser) -> None:
    folder = SOURCES[package]
    there = {init.parent for init in folder.rglob("__init__.py")}
    names = {".".join((package, *path.relative_to(folder).parts)) for path in there}
    listed = lines(setup_cfg["options"]["packages"])
    assert {name for name in listed if name.split(".")[0] == package} == names


def test_the_zoo_and_the_type_markers_are_package_data(
    setup_cfg: configparser.ConfigParser,
) -> None:
    patterns = setup_cfg["options.package_data"]
    typed = [package for package, folder in SOURCES.items() if (folder / "py.typed").exists()]
    assert typed and all("py.typed" in lines(patterns[package]) for package in typed)
    assert "*.json" in lines(patterns["autoseg_core.zoo"])
    assert (SOURCES["auto_seg_loss"] / patterns["auto_seg_loss"]).exists()


def test_every_requirement_has_a_pin(setup_cfg: configparser.ConfigParser) -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pinned = {
        canonicalize_name(Requirement(line).name)
        for line in lines((ROOT / "constraints.txt").read_text("utf-8"))
    }
    extras = setup_cfg["options.extras_require"].values()
    needed = lines("\n".join([setup_cfg["options"]["install_requires"], *extras]))
    names = {canonicalize_name(Requirement(line).name) for line in needed}
    assert names - {"auto-seg-loss"} <= pinned  # extras that include another name the package


def test_the_sources_of_the_kernels_are_in_a_source_package(tmp_path: Path) -> None:
    """Also where there is no PyTorch, in whose place ``None`` stands: importing it fails."""
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    there = shutil.ignore_patterns("*.so", "__pycache__")
    for folder in SOURCES.values():
        shutil.copytree(folder, tmp_path / folder.relative_to(ROOT), ignore=there)
    program = "import sys; sys.modules['torch'] = None; sys.argv[1:] = ['sdist']; import setup"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    sources = (ROOT / "autoseg_core" / "native" / "csrc").iterdir()
    assert {str(path.relative_to(ROOT)) for path in sources} <= names
    assert "autoseg_core/native/operations.py" in names


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target", ["venv", "test-lowest"])
def test_the_recipes_that_install_are_shell_scripts(target: str) -> None:
    # As in a fresh clone, also when these tests are themselves run by make.
    environment = {key: value for key, value in os.environ.items() if "MAKE" not in key}
    command = ["make", "--dry-run", "--always-make", target, "PYTHON=python3"]
    printed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    (install,) = re.findall(r"pip install .*--no-build-isolation .*", printed.stdout)
    assert " -e ." in install.replace("'", "")  # kernels are built with the PyTorch that is there
    script = subprocess.run(["sh", "-n"], input=printed.stdout, capture_output=True, text=True)
    assert script.returncode == 0, script.stderr
