"""Who could end a wait: a module for each family of waits, and the table of which family judges which call.

A family's function takes the situation and a placed agent (what it waits in is known) and returns the agent with its
`needs`, or with `why` it is live by itself. It may ask `situation.placed` for all agents, but not for their needs.

Soundness: `Need.able` over-approximates who could act. What can't be seen (a terminal, a peer on the network, a FIFO's
name, a descriptor in flight, a process outside the run) is the outside, and whoever waits for the outside is live.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..agents import Agent
from . import channels, locks, notices, opens, processes, tasks

if TYPE_CHECKING:
    from ..situation import Situation

Family = Callable[["Situation", Agent], Agent]

# kind of call → its family
FAMILIES: dict[str, Family] = {
    "read": channels.by_channel,
    "write": channels.by_channel,
    "select": channels.by_members,
    "connect": opens.by_connection,
    "open": opens.by_name,
    "wait": processes.by_child,
    "join": processes.by_thread,
    "acquire": locks.by_owner,
    "accept": locks.by_owner,
    "flush": locks.by_owner,
    "take": locks.by_owner,
    "close": locks.by_owner,
    "await": notices.by_notice,
    "receive": notices.by_item,
    "send": notices.by_item,
}

__all__ = ["FAMILIES", "Family", "tasks"]
