"""Shared by all tests: one thread, since the tensors are tiny and test workers share the cores."""

from __future__ import annotations

import signal

import torch

torch.set_num_threads(1)

# A job in the background of a script ignores Ctrl-C, and so would all that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
