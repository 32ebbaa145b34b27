"""compare_losses.py: tables, and a record that a second call adds to."""

from __future__ import annotations

import pytest


def compare(scripts, tiny_config, tmp_path, *options):
    hold = ("SEARCH.HOLDOUT.DATASETS", "('shapes_sem_seg_val',)", "OUTPUT_DIR", tmp_path / "out")
    return scripts.run("compare_losses.py", "--config-file", tiny_config, *options, *hold)


def test_a_second_call_makes_new_trainings_only(scripts, tiny_config, tmp_path):
    usual = ("--metrics", "Dice", "--iterations", "2", "--rates", "0.05,0.1", "--seeds", "2")
    asked = [
        ("--losses", "soft:mIoU"),
        ("--losses", "soft:mIoU,dice"),
        ("--losses", "dice", "--curve", "1"),
    ]
    made = []
    for options in asked:
        run = compare(scripts, tiny_config, tmp_path, *options, *usual).assert_ok()
        assert (tmp_path / "out" / "comparison.md").read_text() in run.stdout
        made.append((tmp_path / "out" / "trials.jsonl").read_text().splitlines())
    # The settings; of each loss 2 rates with 3 seeds and its own rate with 2; the last again, with
    # curves.
    assert [len(lines) for lines in made] == [9, 17, 19]
    assert made[2][:17] == made[1] and made[1][:9] == made[0]
    rows = [line.split("|")[1].strip() for line in run.stdout.splitlines() if line.startswith("|")]
    assert rows.count("dice") == 3  # in the tables of rates, scores and iterations


@pytest.mark.parametrize(
    ("losses", "rates", "named"),
    [("cross_entropie", "1", "cross_entropie"), ("dice", "0.1,0", "--rates: expected numbers > 0")],
)
def test_a_mistake_is_one_line(scripts, tiny_config, tmp_path, losses, rates, named):
    run = compare(scripts, tiny_config, tmp_path, "--losses", losses, "--rates", rates)
    assert named in run.refusal()
