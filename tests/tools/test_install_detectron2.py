"""The Detectron2 installer: offline, on small made sources; and what it installed, where it did."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import detectron2_placeholder
import detectron2_source
import install_detectron2
import pytest
import torch
from detectron2_source import Edit, SourceError, apply_edits


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


class TestApplyEdits:
    def test_changes_every_place_and_says_so_in_the_file(self, source: Path) -> None:
        assert apply_edits(source, edit(masks=2)) == 2
        text = (source / "detectron2" / "masks.py").read_text()
        assert text.startswith("a = bool\nb = np.bool_  # bool\n\n# Changed for current")

    @pytest.mark.parametrize(
        ("edits", "message"),
        [
            (edit(masks=1), "expected detectron2/masks.py × 1, found detectron2/masks.py × 2"),
            (edit(), "expected no place, found detectron2/masks.py × 2"),
            (edit(masks=2, other=1), "expected .*other.py × 1, found detectron2/masks.py × 2"),
            ([Edit("gone", "absent", "", {"a.py": 1})], "gone: expected a.py × 1, found no place"),
        ],
    )
    def test_another_count_fails_and_changes_nothing(
        self, source: Path, edits: list[Edit], message: str
    ) -> None:
        before = (source / "detectron2" / "masks.py").read_text()
        with pytest.raises(SourceError, match=message):
            apply_edits(source, edits)
        assert (source / "detectron2" / "masks.py").read_text() == before

    def test_a_source_without_the_known_places_is_refused(self, source: Path) -> None:
        with pytest.raises(SourceError, match=r"np\.bool.*not the source the edits were written"):
            apply_edits(source)


class TestWheel:
    @pytest.fixture
    def wheel(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        own = edit(masks=2)
        monkeypatch.setattr(detectron2_source, "apply_edits", lambda root: apply_edits(root, own))
        return detectron2_source.build_wheel(source, tmp_path / "work", tmp_path / "wheels")

    def test_holds_edited_files_projects_configs_placeholder_and_licence(self, wheel: Path) -> None:
        assert wheel.name.endswith("-py3-none-any.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            assert archive.read("detectron2/masks.py").startswith(b"a = bool\n")
        assert {
            "detectron2/_C.py",
            "detectron2/projects/deeplab/__init__.py",
            "detectron2/model_zoo/base.yaml",
        } <= names
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)

    def test_record_lists_every_file_with_its_size(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            (record,) = [name for name in archive.namelist() if name.endswith("/RECORD")]
            rows = [line.split(",") for line in archive.read(record).decode().splitlines()]
            assert {row[0] for row in rows} == set(archive.namelist())
            for name, digest, size in rows:
                if name != record:
                    assert digest.startswith("sha256=") and int(size) == len(archive.read(name))

    def test_a_source_without_the_package_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="expected a package detectron2/"):
            detectron2_source.arrange(tmp_path, tmp_path / "package")


class TestUnpack:
    @pytest.fixture
    def sdist(self, tmp_path: Path) -> Path:
        path = tmp_path / "package.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("package-1/PKG-INFO")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"Name"))
        return path

    def test_the_right_file_is_unpacked(self, sdist: Path, tmp_path: Path) -> None:
        sha256 = hashlib.sha256(sdist.read_bytes()).hexdigest()
        folder = install_detectron2.unpack(sdist, tmp_path, sha256)
        assert (folder / "PKG-INFO").read_text() == "Name"

    def test_another_file_is_refused_before_it_is_opened(self, sdist: Path, tmp_path: Path) -> None:
        found = hashlib.sha256(sdist.read_bytes()).hexdigest()
        expected = install_detectron2.SHA256
        with pytest.raises(
            install_detectron2.InstallError, match=f"expected sha256 {expected}, found {found}"
        ):
            install_detectron2.unpack(sdist, tmp_path)
        assert not (tmp_path / "sdist").exists()

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(install_detectron2.InstallError, match=r"there is no file .*gone\.tar"):
            install_detectron2.unpack(tmp_path / "gone.tar.gz", tmp_path)


class TestFetch:
    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ("No matching distribution found", "see whether the package index can be reached"),
            ("THESE PACKAGES DO NOT MATCH THE HASHES", "is another file"),
        ],
    )
    def test_a_failure_says_why_and_what_pip_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, message: str
    ) -> None:
        failed = subprocess.CompletedProcess[str]([], 1, "", said)
        monkeypatch.setattr(install_detectron2, "_pip", lambda *arguments, env: failed)
        with pytest.raises(install_detectron2.InstallError, match=f"(?s){message}.*{said}"):
            install_detectron2.fetch(tmp_path)


class TestMain:
    def test_a_working_detectron2_is_named_and_kept(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(install_detectron2, "installed", lambda: "0.6 at /somewhere/detectron2")
        monkeypatch.setattr(install_detectron2, "install", lambda *_: pytest.fail("installed anew"))
        assert install_detectron2.main([]) == 0
        assert capsys.readouterr().out == (
            "detectron2 is installed already: 0.6 at /somewhere/detectron2\n"
        )

    def test_an_error_is_printed_and_fails(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(install_detectron2, "installed", lambda: None)
        assert install_detectron2.main(["--sdist", str(tmp_path / "gone.tar.gz")]) == 1
        assert "install_detectron2: --sdist: there is no file" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("found", "outdated"),
        [
            ("0.6 at x", False),
            ("0.7+cu126 at x", False),
            ("0.6+python.00000000 at x", True),
            (f"{detectron2_source.VERSION} at x", False),
        ],
    )
    def test_only_own_work_with_other_edits_is_replaced(self, found: str, outdated: bool) -> None:
        assert install_detectron2.outdated(found) is outdated


class TestPlaceholder:
    @pytest.mark.parametrize("name", ["box_iou_rotated", "deform_conv_forward"])
    def test_use_names_operator_and_install_page(self, name: str) -> None:
        with pytest.raises(
            NotImplementedError, match=rf"detectron2\._C\.{name} is a compiled.*install\.html"
        ):
            getattr(detectron2_placeholder, name)

    def test_hasattr_tells_the_truth(self) -> None:
        assert not hasattr(detectron2_placeholder, "box_iou_rotated")
        assert not hasattr(detectron2_placeholder, "__wrapped__")

    def test_collect_env_is_answered(self) -> None:
        assert "none" in detectron2_placeholder.get_compiler_version()
        assert "none" in detectron2_placeholder.get_cuda_version()
        assert detectron2_placeholder.has_cuda() is False


def _nms_rotated() -> None:
    from detectron2.layers import nms_rotated

    nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5)


def _roi_align_rotated() -> None:
    from detectron2.layers import ROIAlignRotated

    ROIAlignRotated((2, 2), 1.0, 1)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 6))


def _box_iou_rotated() -> None:
    from detectron2.layers.rotated_boxes import pairwise_iou_rotated

    pairwise_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5))


def _modulated_deform_conv() -> None:
    from detectron2.layers import ModulatedDeformConv

    layer = ModulatedDeformConv(1, 1, 3, padding=1)
    layer(torch.zeros(1, 1, 4, 4), torch.zeros(1, 18, 4, 4), torch.zeros(1, 9, 4, 4))


@needs_our_build
class TestInstalled:
    @pytest.mark.parametrize(
        ("use", "operator"),
        [
            (_nms_rotated, "nms_rotated"),
            (_roi_align_rotated, "roi_align_rotated_forward"),
            (_box_iou_rotated, "box_iou_rotated"),
        ],
    )
    def test_layers_import_and_their_use_names_the_operator(
        self, use: Callable[[], None], operator: str
    ) -> None:
        with pytest.raises(NotImplementedError, match=rf"_C\.{operator} is .*install\.html"):
            use()

    def test_deform_conv_says_so_too(self) -> None:
        # On the CPU, upstream's ModulatedDeformConv refuses by itself, before the operator.
        with pytest.raises(NotImplementedError):
            _modulated_deform_conv()

    def test_model_zoo_finds_its_configs(self) -> None:
        from detectron2 import model_zoo

        assert Path(model_zoo.get_config_file("Misc/semantic_R_50_FPN_1x.yaml")).is_file()

    def test_collect_env_reports(self) -> None:
        from detectron2.utils.collect_env import collect_env_info

        assert "installed without compiled operators" in collect_env_info()
