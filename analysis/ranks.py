"""Ranks of nodes (begins and ends of events): each one more than all that comes before it. Lamport (1978).

Two nodes of one rank are concurrent; of two that are ordered, the first has the smaller rank. Only the edges decide,
and each thread's own order; the clock decides nothing.
"""

from __future__ import annotations

import numpy as np

from .causality import keys
from .events import Ints
from .timeline import Nodes


def in_order(nodes: Nodes, enter: Ints, exit: Ints) -> Ints:
    """The places of nodes in an order in which no edge runs backwards, given when each one's event began and ended."""
    return np.lexsort(keys(nodes, enter, exit)[::-1])


def ranks(thread: Ints, before: Ints, after: Ints) -> Ints:
    """The rank of each node, from 0. Nodes are in order (`in_order`), with a thread each; edges lead from the nodes
    `before` to the nodes `after`. An edge that runs backwards, among nodes of one time, is left out."""
    forward = before < after
    before, after = before[forward], after[forward]
    order = np.argsort(after, kind="stable")
    edges = zip(after[order].tolist(), before[order].tolist(), strict=True)
    found = [0] * len(thread)
    last = [-1] * (int(thread.max(initial=-1)) + 1)
    target, source = next(edges, (-1, -1))
    for node, one in enumerate(thread.tolist()):
        rank = last[one]
        while target == node:
            if found[source] > rank:
                rank = found[source]
            target, source = next(edges, (-1, -1))
        found[node] = last[one] = rank + 1
    return np.array(found, dtype="int64")
