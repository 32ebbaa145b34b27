"""Code shared by all scripts, and all checks of user settings.

errors.py         the error of a user's settings; imported by everything
log_levels.py     which lines reach the terminal
random_states.py  the random generators as one value
configs.py        YAML files and KEY VALUE options -> config
checkpoints.py    atomic checkpoints, and the latest of them
resume.py         one run per folder, and the settings it was started with
checks.py         checks before a long run
scripts.py        arguments, logs, final messages
"""
