"""A document's tables are renewed between their markers; the prose around them is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import ReportError, benchmarks, refresh, replaced

ROOT = Path(__file__).parents[2]
PROSE = """# Title

Before. <!-- bm_a: begin -->
| old |
<!-- bm_a: end -->
Between, with *marks* and trailing spaces.\x20\x20
<!-- bm_b: begin --><!-- bm_b: end -->
After."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two benchmarks that work, and one script that is none."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "bm_b.py").write_text("import sys\nprint('| b |', sys.argv[1:])\n")
    (made / "bm_a.py").write_text("print('| a |')\n")
    (made / "timing.py").write_text("raise SystemExit('not a benchmark')\n")
    return made


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document.md"
    path.write_text(PROSE, "utf-8")
    return path


@pytest.mark.parametrize("text", ["none", PROSE + PROSE, "<!-- bm_a: end --> <!-- bm_a: begin -->"])
def test_markers_that_do_not_fit_are_named(text: str) -> None:
    with pytest.raises(ReportError, match="bm_a: begin"):
        replaced(text, "bm_a", "| new |")


def test_a_missing_marker_shows_before_the_work(folder: Path, document: Path) -> None:
    script = folder / "bm_c.py"
    script.write_text("from pathlib import Path\nPath('ran').touch()\nprint('| c |')\n")
    with pytest.raises(ReportError, match="bm_c: begin"):
        refresh(document, script)
    assert not (folder.parent / "ran").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [("raise SystemExit('no such device')", "no such device"), ("pass", "printed no table")],
)
def test_a_failed_benchmark_leaves_the_document_alone(
    source: str, words: str, folder: Path, document: Path
) -> None:
    (folder / "bm_a.py").write_text(source)
    with pytest.raises(ReportError, match=words):
        refresh(document, folder / "bm_a.py")
    assert document.read_text("utf-8") == PROSE


def test_the_runner_as_a_user_runs_it(folder: Path, document: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    command += ["--document", str(document), "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = PROSE.replace("-->\n| old |\n", "-->\n\n| a |\n\n")
    assert document.read_text("utf-8") == replaced(expected, "bm_b", "| b | ['--quick']")


def test_the_project_has_a_place_for_every_benchmark() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for script in benchmarks(ROOT / "benchmarks"):
        replaced(text, script.stem, "")
