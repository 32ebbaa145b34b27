"""Comparing losses over seeds, by the rules of docs/protocol.md.

losses.py        names of losses, unsearched surrogates, candidates of a search -> specs
record.py        trials and their results: the file that later calls append to
trials.py        one trial: a training of a loss with a rate and a seed, scored
jobs.py          many trials: here, in processes, on Ray
inspection.py    measures of a network besides its scores
statistics.py    differences, verdicts, correlations

study_net.py: whole trainings, data sets x networks x losses x seeds
settings.py      data sets x networks           matrix.py    settings -> cells, each a trial
run.py           all cells                      report.py, figures.py    tables, pictures

compare_losses.py and find_loss.py: each loss at its own learning rate
comparison.py    rates by the hold-out, then seeds
tables.py        its tables
finding.py       from a folder of images to a loss
finding_plan.py  how long its trainings and its search are
finding_setup.py checks of the folder           finding_configs.py   its configs
finding_verdict.py what the test says           finding_report.py    tables, pictures, commands
"""
