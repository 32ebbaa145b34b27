"""Heads on the features of a frozen backbone, which are computed once for each image."""
