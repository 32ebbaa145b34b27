"""Losses compared by the rules of docs/protocol.md.

trials.py      one training of one loss, and many of them in processes that share a record
comparison.py  a learning rate for every loss by the hold-out, then seeds
tables.py      tables of a comparison
finding.py     find_loss.py: baselines, search and verdict on a folder of images
"""
