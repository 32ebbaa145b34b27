"""The Detectron2 installer: its edits, what it keeps; and what it installed, where it did."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import install_detectron2
import pytest
import torch


def made_here() -> bool:
    try:
        return version("detectron2").startswith("0.6+python")
    except PackageNotFoundError:
        return False


needs_our_build = pytest.mark.skipif(
    not made_here(),
    reason="the installed Detectron2 is not the one tools/install_detectron2.py makes",
)


def test_edits_change_every_place_and_say_so_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "detectron2").mkdir()
    changed, same = tmp_path / "detectron2" / "masks.py", tmp_path / "detectron2" / "same.py"
    changed.write_text(
        "import os\nimport pkg_resources\na = np.bool\nb = np.bool_, np.int64, np.int\n"
        'c = pkg_resources.resource_filename(\n    "detectron2.model_zoo", name)\n'
    )
    same.write_text("a = np.bool_\n")
    install_detectron2.mend(tmp_path)
    assert changed.read_text() == (
        "import os\na = bool\nb = np.bool_, np.int64, int\n"
        "c = os.path.join(\n        os.path.dirname(os.path.abspath(__file__)), name)\n\n"
        + install_detectron2.NOTE
    )
    assert same.read_text() == "a = np.bool_\n"
    assert {"_C.py", "masks.py", "same.py"} == {p.name for p in changed.parent.iterdir()}


def test_a_working_detectron2_is_named_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_detectron2, "installed", lambda: "0.6 at /somewhere/detectron2")
    monkeypatch.setattr(install_detectron2, "install", lambda: pytest.fail("installed anew"))
    assert install_detectron2.main() == 0
    assert "/somewhere/detectron2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "outdated"),
    [
        ("0.6 at x", False),
        ("0.6+python.00000000 at x", True),
        (f"{install_detectron2.VERSION} at x", False),
    ],
)
def test_only_own_work_with_other_edits_is_replaced(found: str, outdated: bool) -> None:
    assert install_detectron2.outdated(found) is outdated


@needs_our_build
def test_layers_import_and_their_use_names_the_operator() -> None:
    from detectron2.layers import ROIAlignRotated

    with pytest.raises(AttributeError, match=r"_C\.roi_align_rotated_forward "):
        ROIAlignRotated((2, 2), 1.0, 1)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 6))


@needs_our_build
def test_the_installed_model_zoo_and_report_work() -> None:
    from detectron2 import model_zoo
    from detectron2.utils.collect_env import collect_env_info

    assert Path(model_zoo.get_config_file("Misc/semantic_R_50_FPN_1x.yaml")).is_file()
    assert "installed without compiled operators" in collect_env_info()
