"""The Detectron2 installer: offline, on small made sources; and what it installed, where it did."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import detectron2_source
import install_detectron2
import pytest
import torch
from detectron2_source import Edit, SourceError, apply_edits
from install_detectron2 import InstallError


def made_here() -> bool:
    try:
        return version("detectron2").startswith("0.6+python")
    except PackageNotFoundError:
        return False


needs_our_build = pytest.mark.skipif(
    not made_here(),
    reason="the installed Detectron2 is not the one tools/install_detectron2.py makes",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source package in miniature, with one place for an edit."""
    root = tmp_path / "source"
    for package in ("detectron2", *detectron2_source.PROJECTS):
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").write_text("")
    (root / "detectron2" / "masks.py").write_text("a = np.bool\nb = np.bool_  # np.bool\n")
    (root / "detectron2" / "model_zoo").mkdir()
    (root / "detectron2" / "model_zoo" / "base.yaml").write_text("VERSION: 2\n")
    (root / "LICENSE").write_text("the licence\n")
    return root


def edit(**places: int) -> list[Edit]:
    """The edit np.bool -> bool, expecting `places`: stem of a file in detectron2/ -> count."""
    named = {f"detectron2/{stem}.py": count for stem, count in places.items()}
    return [Edit("NumPy removed np.bool", r"\bnp\.bool\b", "bool", named)]


def test_edits_change_every_place_and_say_so_in_the_file(source: Path) -> None:
    assert apply_edits(source, edit(masks=2)) == 2
    text = (source / "detectron2" / "masks.py").read_text()
    assert text.startswith("a = bool\nb = np.bool_  # bool\n\n# Changed for current")


@pytest.mark.parametrize(
    "edits", [edit(masks=1), edit(), edit(masks=2, other=1), [Edit("gone", "absent", "", {"a": 1})]]
)
def test_another_count_fails_and_changes_nothing(source: Path, edits: list[Edit]) -> None:
    before = (source / "detectron2" / "masks.py").read_text()
    with pytest.raises(SourceError, match="× "):
        apply_edits(source, edits)
    assert (source / "detectron2" / "masks.py").read_text() == before


def test_the_wheel_holds_what_it_should_and_its_record_lists_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = edit(masks=2)
    monkeypatch.setattr(detectron2_source, "apply_edits", lambda root: apply_edits(root, own))
    wheel = detectron2_source.build_wheel(source, tmp_path / "work", tmp_path / "wheels")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("detectron2/masks.py").startswith(b"a = bool\n")
        (record,) = [name for name in names if name.endswith("/RECORD")]
        rows = [line.split(",") for line in archive.read(record).decode().splitlines()]
        sizes = {name: int(size) for name, _, size in rows if name != record}
        assert {row[0] for row in rows} == names
        assert all(size == len(archive.read(name)) for name, size in sizes.items())
    projects = {"detectron2/projects/deeplab/__init__.py", "detectron2/model_zoo/base.yaml"}
    assert {"detectron2/_C.py", *projects} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_a_source_package_is_unpacked_if_its_digest_is_right(tmp_path: Path) -> None:
    sdist = tmp_path / "package.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        member = tarfile.TarInfo("package-1/PKG-INFO")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"Name"))
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    with pytest.raises(InstallError, match=digest):
        install_detectron2.unpack(sdist, tmp_path)
    assert not (tmp_path / "sdist").exists()
    folder = install_detectron2.unpack(sdist, tmp_path, digest)
    assert (folder / "PKG-INFO").read_text() == "Name"


def test_a_working_detectron2_is_named_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_detectron2, "installed", lambda: "0.6 at /somewhere/detectron2")
    monkeypatch.setattr(install_detectron2, "install", lambda *_: pytest.fail("installed anew"))
    assert install_detectron2.main([]) == 0
    assert "/somewhere/detectron2" in capsys.readouterr().out


def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_detectron2, "installed", lambda: None)
    assert install_detectron2.main(["--sdist", str(tmp_path / "gone.tar.gz")]) == 1
    assert "gone.tar.gz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "outdated"),
    [
        ("0.6 at x", False),
        ("0.6+python.00000000 at x", True),
        (f"{detectron2_source.VERSION} at x", False),
    ],
)
def test_only_own_work_with_other_edits_is_replaced(found: str, outdated: bool) -> None:
    assert install_detectron2.outdated(found) is outdated


def _nms_rotated() -> None:
    from detectron2.layers import nms_rotated

    nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5)


def _roi_align_rotated() -> None:
    from detectron2.layers import ROIAlignRotated

    ROIAlignRotated((2, 2), 1.0, 1)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 6))


def _box_iou_rotated() -> None:
    from detectron2.layers.rotated_boxes import pairwise_iou_rotated

    pairwise_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5))


@needs_our_build
@pytest.mark.parametrize(
    ("use", "operator"),
    [
        (_nms_rotated, "nms_rotated"),
        (_roi_align_rotated, "roi_align_rotated_forward"),
        (_box_iou_rotated, "box_iou_rotated"),
    ],
)
def test_layers_import_and_their_use_names_the_operator(
    use: Callable[[], None], operator: str
) -> None:
    with pytest.raises(NotImplementedError, match=rf"_C\.{operator} "):
        use()


@needs_our_build
def test_the_installed_model_zoo_and_report_work() -> None:
    from detectron2 import model_zoo
    from detectron2.utils.collect_env import collect_env_info

    assert Path(model_zoo.get_config_file("Misc/semantic_R_50_FPN_1x.yaml")).is_file()
    assert "installed without compiled operators" in collect_env_info()
