"""Table and files of a comparison whose numbers are made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.agents.comparison import Comparison, report, write_comparisons
from benchmarks.agents.regret import Run


def _run(*values: float, mean: float = 0.0) -> Run:
    seen = np.array(values)
    return Run(seen, seen, np.array([0.0, mean]))


def _comparison(optimum: float | None = 1.0) -> Comparison:
    runs = {
        "random": [_run(0.1, 0.1, 0.2, 0.2), _run(0.1, 0.1, 0.1, 0.4)],
        "ppo": [_run(0.1, 0.2, 0.4, 0.5, mean=0.7), _run(0.2, 0.3, 0.4, 0.5)],
        "tpe": [_run(0.1, 0.6, 0.8, 0.8), _run(0.1, 0.4, 0.5, 0.5)],
    }
    return Comparison("hill", runs, "ppo", start=0.1, optimum=optimum)


def test_rows_and_the_target() -> None:
    assert _comparison().target == pytest.approx(0.6)  # of ppo's end means count: 0.7 and 0.5
    ours = {row[1]: row[2:] for row in _comparison().rows()}
    # After 2 of 4 regrets 0.9 and 0.9. At the end 0.8 and 0.6, of the mean 1 and 1; the error of
    # two is half their difference.
    final = ["0.70000 ± 0.10000", "1.00000 ± 0.00000"]
    assert ours["random"] == ["0.90000", *final, "never", "0/2", "-"]
    final = ["0.50000 ± 0.00000", "0.65000 ± 0.35000"]
    assert ours["ppo"] == ["0.75000", *final, "4", "-", "1"]  # 0.8 and 0.7
    assert ours["tpe"][0] == "0.50000"  # 0.4 and 0.6
    assert ours["tpe"][3:] == ["6", "1/2", "0.67"]


def test_regret_at_a_quarter_a_half_and_three_quarters() -> None:
    seen = np.array([0.1, 0.2, 0.3, 0.2, 0.4, 0.4, 0.5, 0.9])
    two = [Run(one, one, np.zeros(4)) for one in (seen, np.maximum(seen, 0.3))]
    comparison = Comparison("hill", {"ppo": two}, "ppo", start=0.0, optimum=1.0)
    assert comparison.checkpoints == [2, 4, 6]
    # Best so far 0.2 and 0.3, 0.3 and 0.3, 0.4 and 0.4, and 0.9.
    expected = ["0.75000", "0.70000", "0.60000", "0.10000 ± 0.00000"]
    assert comparison.rows()[0][2:6] == expected
    headers = [cell.strip() for cell in report([comparison]).splitlines()[0].split("|")]
    assert headers[3:7] == ["regret at 2", "at 4", "at 6", "final regret"]


def test_without_a_known_optimum_regret_is_against_the_best_found() -> None:
    comparison = _comparison(optimum=None)
    assert comparison.optimum == 0.8
    assert "the optimum is not known" in comparison.remark


def test_files(tmp_path: Path) -> None:
    for name in ("regret_old.png", "curve.png"):
        (tmp_path / name).write_bytes(b"")
    text = write_comparisons([_comparison()], tmp_path)
    assert (tmp_path / "table.md").read_text() == text + "\n"
    assert {path.name for path in tmp_path.glob("*.png")} == {"curve.png", "regret_hill.png"}
    assert (tmp_path / "regret_hill.png").read_bytes().startswith(b"\x89PNG")
