"""What all scripts share, and the only home of guards.

errors.py         the error of a user's settings; the bottom: everything may import it
log_levels.py     which lines reach the terminal
random_states.py  the random generators as one value
configs.py        YAML files and KEY VALUE options -> config
checkpoints.py    checkpoints that are whole, and the latest of them
resume.py         one run per folder, and the settings it was begun with
checks.py         what a run of hours should not end at
scripts.py        arguments, logs, last words
"""
