"""Studies: losses compared over seeds, data sets and networks, from equal starts.

matrix.py      config -> cells          candidates.py  losses of a search's journal
checks.py      what is refused          cells.py       one cell: train, score, keep
inspection.py  what a network shows     borders.py     length and jaggedness of borders
runner.py      all cells, then          statistics.py  intervals and correlations
results.py     rows                     report.py, figures.py, images.py, tensorboard.py
"""

from auto_seg_loss.study.checks import check_settings, check_study
from auto_seg_loss.study.matrix import Study, build_study, read_study
from auto_seg_loss.study.runner import Outcome, run_study, sole_study

__all__ = [
    "Outcome",
    "Study",
    "build_study",
    "check_settings",
    "check_study",
    "read_study",
    "run_study",
    "sole_study",
]
