"""Searching a loss as a black box: agents ask and are told, proxies score, a journal remembers.

Rooms: ``proxy`` (what is optimised), ``agents`` (who proposes), ``executors`` (who runs it),
``journal`` (what survives a kill), ``search`` (the loop), ``selection`` (the final choice).
"""

from __future__ import annotations
