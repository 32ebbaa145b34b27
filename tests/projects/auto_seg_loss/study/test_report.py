"""report.py, figures.py: what is made of invented scores."""

from __future__ import annotations

import csv
import math
import re

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from auto_seg_loss.study.inspection import measures, prediction_file, shown_records
from auto_seg_loss.study.matrix import Study
from auto_seg_loss.study.report import correlations, summaries, write_reports
from autoseg_core import PAPER_METRICS

SPEC = "voc-miou-bezier"


def results(study: Study, **more: float):
    """mIoU of 40 + the seed, and 3 more, about, for every loss but the first."""
    study.output.mkdir(parents=True, exist_ok=True)
    for cell in study.cells:
        extra = 0.0 if cell.loss == "cross_entropy" else 3.0 + 0.1 * cell.seed
        scores = dict.fromkeys(measures(cell.config), 0.1) | more
        scores["mIoU"] = (40.0 + cell.seed + extra) / 100
        yield cell, {"scores": {cell.config.DATASETS.TEST[0]: scores}}


def report(study: Study, found=None) -> list[str]:
    return write_reports(study, found or list(results(study)), {}).splitlines()


def test_the_summary_holds_both_tables_and_links_to_pictures_that_exist(make_study):
    study = make_study("STUDY.TARGET", "BIoU", "STUDY.TOLERANCES", [1, 2], "STUDY.IMAGES", 1)
    for cell in study.cells:
        folder = cell.predictions
        folder.mkdir(parents=True)
        Image.new("L", (64, 48)).save(prediction_file(folder, shown_records(cell.config)[0]))
    report(study)
    text = (study.output / "summary.md").read_text()
    heads = [part.splitlines()[0] for part in text.split("\n\n") if part.startswith("| loss")]
    columns = [[name.strip() for name in head.strip("|").split("|")] for head in heads]
    names = ["BIoU", *(name for name in PAPER_METRICS if name != "BIoU")]
    assert [one[:8] for one in columns] == [["loss", k, *names] for k in ("seeds", "minus")]
    linked = re.findall(r"!\[\w+\]\((\S+)\)", text)
    assert linked == ["tolerances.png", "borders.png"]
    for name in linked:
        with Image.open(study.output / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5, "an empty picture"


def noisy(study):
    """Differences of 1.9, 4.4 and 3.3: alone p is 0.047, of two claims 0.095."""
    found = list(results(study))
    for cell, result in found:  # a second data set is easier by ten points
        noise = (cell.loss == SPEC) * (-1.2, 1.2, 0.0)[cell.seed - 1]
        score = 10 * (cell.setting.dataset == "b") + noise
        result["scores"]["shapes_sem_seg_test"]["mIoU"] += score / 100
    return found


def test_losses_are_compared_within_their_setting_and_verdicts_hold_together(make_study, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("VERSION: 2\n")
    study = make_study("STUDY.SEEDS", [1, 2, 3])
    assert report(study, noisy(study))[-1].endswith("mIoU +3.20 [+0.09, +6.31] better")
    study = make_study("STUDY.DATASETS", ["a: one.yaml", "b: two.yaml"], "STUDY.SEEDS", [1, 2, 3])
    words = f"{SPEC} - cross_entropy: mIoU +3.20 [+0.09, +6.31]"
    assert report(study, noisy(study))[-2:] == [f"{name}: {words}" for name in "ab"]
    with (study.output / "cells.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert (len(cells), cells[-1]["dataset"]) == (12, "b")
    assert float(cells[-1]["mIoU"]) == pytest.approx(56.3)


def test_longer_borders_are_ratios_and_neither_better_nor_worse(make_study):
    study = make_study("STUDY.BORDERS", True)
    found = list(results(study, jaggedness=1.5))
    for _, result in found[1::2]:
        result["scores"]["shapes_sem_seg_test"]["jaggedness"] = 4.0
    report(study, found)
    text = (study.output / "summary.md").read_text()
    assert "| 4.00 ± 0.00" in text and re.search(r"\+2\.50 \[\+2\.50, \+2\.50\] +\|", text)


def test_rewards_are_correlated_with_mean_scores():
    """Of four losses; the one without a reward is none of the search's."""
    known = [(0.1, 1.0), (0.2, 3.0), (0.3, 2.0), (0.4, 4.0), (math.nan, 9.0)]
    table = [
        {"dataset": "a", "network": "", "loss": f"r{i}", "reward": reward, "seed": seed}
        | {"failed": "", "mIoU": score + noise}
        for i, (reward, score) in enumerate(known)
        for seed, noise in ((1, -0.5), (2, 0.5))
    ]
    (line,) = correlations(summaries(table, "mIoU"), "mIoU")
    # one pair of six in the wrong order: (5 - 1) / 6; ranks: 1 - 6 * 2 / (4 * 15)
    assert re.match(r"a: .*mIoU over 4 losses: Spearman \+0\.80 \[.*Kendall \+0\.67 \[", line)


def test_every_cell_is_a_row_of_hparams_and_its_scores(make_study):
    study = make_study("STUDY.SEEDS", [1])
    for _ in range(2):  # going on writes everything once
        report(study)
    runs = [path.parent for path in study.output.rglob("tensorboard/**/events.out.*")]
    assert sorted(str(run.relative_to(study.output / "tensorboard")) for run in runs) == [
        "cross_entropy/seed1",
        f"{SPEC}/seed1",
    ]
    events = EventAccumulator(str(runs[0])).Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert {f"scores/{name}" for name in PAPER_METRICS} == set(events.Tags()["scalars"])
