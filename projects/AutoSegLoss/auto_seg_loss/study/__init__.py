"""Studies: losses compared over seeds, data sets and networks, from equal starts.

settings.py    data sets x networks     matrix.py      config -> settings -> cells
candidates.py  losses of a journal      checks.py      what is refused
runner.py      all cells, here or in workers
cells.py       one cell is trained      inspection.py  what its network shows
finished.py    cells on the disk        borders.py     length and jaggedness of borders
results.py     rows of the tables       statistics.py  intervals and correlations
report.py      tables                   figures.py, images.py, tensorboard.py
"""

from auto_seg_loss.study.checks import check_settings, check_study
from auto_seg_loss.study.matrix import Study, build_study, read_study
from auto_seg_loss.study.runner import Outcome, run_study
from auto_seg_loss.study.settings import overridden

__all__ = [
    "Outcome",
    "Study",
    "build_study",
    "check_settings",
    "check_study",
    "overridden",
    "read_study",
    "run_study",
]
