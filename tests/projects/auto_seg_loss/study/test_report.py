"""report.py, results.py, figures.py: what is made of invented scores."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auto_seg_loss.study import build_study
from auto_seg_loss.study.candidates import CandidateLoss
from auto_seg_loss.study.finished import CellResult
from auto_seg_loss.study.matrix import Study
from auto_seg_loss.study.report import printed, write_reports
from autoseg_core import PAPER_METRICS, load_spec

SPEC = "voc-miou-bezier"


def results(study: Study, gain: float = 3.0, **shown: list[float | None]) -> list[CellResult]:
    """mIoU of 40 + the seed, and so much more for every loss but the first."""
    found = []
    for cell in study.cells:
        more = 0.0 if cell.loss == "cross_entropy" else gain + 0.1 * cell.seed
        scores = dict.fromkeys(study.score_names, 10.0) | {"mIoU": 40.0 + cell.seed + more}
        found.append(CellResult(cell, scores, dict(shown)))
    return found


def table(text: str, first: str) -> list[list[str]]:
    """The cells of the Markdown table whose head begins with this, its rule left out."""
    (block,) = [part for part in text.split("\n\n") if re.match(rf"\| {first} ", part)]
    lines = [line for line in block.splitlines() if not set(line) <= set("|-: ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def columns(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def two_sets(make_cfg, tmp_path) -> Study:
    """Two losses, three seeds, two data sets."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("VERSION: 2\n")
    options = [
        *("STUDY.DATASETS", "['a: one.yaml', 'b: two.yaml']", "STUDY.SEEDS", "[1, 2, 3]"),
        *("STUDY.LOSSES", f"['cross_entropy', '{SPEC}']"),
    ]
    return build_study(make_cfg(*options), options, tmp_path)


def test_a_loss_is_better_only_when_the_interval_says_so(make_study):
    study = make_study("STUDY.SEEDS", "[1, 2, 3]")
    line = printed(study, results(study)).splitlines()[-1]
    assert line == f"{SPEC} - cross_entropy: mIoU +3.20 [+2.95, +3.45] better"
    line = printed(study, results(study, gain=-0.2)).splitlines()[-1]
    assert line == f"{SPEC} - cross_entropy: mIoU +0.00 [-0.25, +0.25]"
    line = printed(study, results(study, gain=-4.2)).splitlines()[-1]
    assert line.endswith("mIoU -4.00 [-4.25, -3.75] worse")


def test_one_seed_gives_no_verdict(make_study):
    study = make_study("STUDY.SEEDS", "[1]")
    line = printed(study, results(study)).splitlines()[-1]
    assert line.endswith("mIoU +3.10 (no verdict: fewer than two seeds in common)")


def test_a_diverged_run_is_nan_everywhere(make_study):
    study = make_study()
    found = results(study)
    for name in found[1].scores:
        found[1].scores[name] = float("nan")
    line = printed(study, found).splitlines()[-1]
    assert line.endswith("mIoU +nan (no verdict: a training diverged)")


def test_the_summary_holds_both_tables_and_links_to_pictures_that_exist(make_study):
    study = make_study("STUDY.TARGET", "BIoU")
    study.output.mkdir()
    write_reports(study, results(study))
    text = (study.output / "summary.md").read_text()
    names = ["BIoU", *(name for name in PAPER_METRICS if name != "BIoU")]
    first, second = [part for part in text.split("\n\n") if part.startswith("| loss")]
    assert table(first, "loss")[0] == ["loss", "seeds", *names]
    head, row = table(second, "loss")
    assert head == ["loss", "minus", *names] and row[:3] == [
        SPEC,
        "cross_entropy",
        "+0.00 [+0.00, +0.00]",
    ]
    linked = re.findall(r"!\[\w+\]\((\S+)\)", text)
    assert linked == ["heatmap.png", "bars.png"]
    for name in linked:
        with Image.open(study.output / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5, "an empty picture"


def test_axes_are_columns_and_losses_are_compared_within_their_setting(two_sets):
    two_sets.output.mkdir()
    found = results(two_sets)
    for one in found:  # the second data set is easier by ten points
        one.scores["mIoU"] += 10.0 * (one.cell.setting.dataset == "b")
    write_reports(two_sets, found)
    records = columns(two_sets.output / "summary.csv")
    chosen = [r for r in records if r["loss"] == SPEC and r["score"] == "mIoU"]
    assert [r["dataset"] for r in chosen] == ["a", "b"]
    assert [float(r["mean"]) for r in chosen] == pytest.approx([45.2, 55.2])
    assert [float(r["difference"]) for r in chosen] == pytest.approx([3.2, 3.2])
    assert [r["verdict"] for r in chosen] == ["better", "better"]
    assert float(chosen[0]["deviation"]) == pytest.approx(1.1)
    cells = columns(two_sets.output / "cells.csv")
    assert (
        len(cells) == 12
        and cells[-1]["dataset"] == "b"
        and float(cells[-1]["mIoU"]) == pytest.approx(56.3)
    )
    text = (two_sets.output / "summary.md").read_text()
    assert table(text.split("\n\n")[0], "dataset")[1][:3] == ["a", "cross_entropy", "3"]


def test_longer_borders_are_neither_better_nor_worse(make_study):
    study = make_study("STUDY.BORDERS", True, "STUDY.TOLERANCES", "[1, 2]", "STUDY.IMAGES", 0)
    study.output.mkdir()
    found = results(study, border_length=[1.0, None], jaggedness=[1.5, 2.5])
    for one in found[1::2]:
        one.shown["jaggedness"] = [4.0, 4.0]
    write_reports(study, found)
    records = {(r["loss"], r["score"]): r for r in columns(study.output / "summary.csv")}
    assert float(records["cross_entropy", "border_length"]["mean"]) == 1.0
    jagged = records[SPEC, "jaggedness"]
    assert (float(jagged["mean"]), float(jagged["low"]), jagged["verdict"]) == (4.0, 2.0, "")
    text = (study.output / "summary.md").read_text()
    assert "+2.00 [+2.00, +2.00] |" in text and "tolerances.png" in text
    assert (study.output / "tolerances.png").is_file()


def test_a_study_of_which_nothing_is_left_is_reported_too(make_study):
    study = make_study("STUDY.BORDERS", True, "STUDY.TOLERANCES", "[1]")
    study.output.mkdir()
    found = [CellResult(cell, reason="the disk is full") for cell in study.cells]
    write_reports(study, found)
    text = (study.output / "summary.md").read_text()
    assert text.count(": the disk is full\n") == 4
    assert {row["failed"] for row in columns(study.output / "cells.csv")} == {"the disk is full"}
    assert printed(study, found).splitlines()[-1] == (
        f"{SPEC} - cross_entropy: mIoU - (no verdict: fewer than two seeds in common)"
    )


def test_rewards_are_correlated_with_scores(make_study):
    study = make_study("STUDY.LOSSES", "['cross_entropy']")
    spec = load_spec(SPEC)
    candidates = tuple(
        CandidateLoss(spec.model_copy(update={"name": f"r00c0{i}"}), reward)
        for i, reward in enumerate((0.1, 0.2, 0.3, 0.4))
    )
    study = Study(study.config, study.settings, candidates)
    study.output.mkdir()
    found = results(study)
    order = {"r00c00": 1.0, "r00c01": 3.0, "r00c02": 2.0, "r00c03": 4.0}
    for one in found:
        one.scores["mIoU"] = order.get(one.cell.loss, 0.0)
    line = printed(study, found).splitlines()[-1]
    # one pair of six in the wrong order: (5 - 1) / 6; ranks: 1 - 6 * 2 / (4 * 15)
    assert "reward and mIoU over 4 losses: Spearman +0.80 [" in line and "Kendall +0.67 [" in line
    write_reports(study, found)
    assert line in (study.output / "summary.md").read_text()
    assert (study.output / "rewards.png").is_file()
