"""Losses compared by the rules of docs/protocol.md.

trials.py   one short training of one loss, and many of them in processes that share a record
choice.py   what the hold-out decides: the learning rate of every loss
tables.py   records -> differences, verdicts and tables
"""
