"""Signals in the run: which kill was delivered where, and what each signal is called in words."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..run import Run

# Linux's numbers, as signal(7) has them; what is not here is called by its number
WORDS = {
    1: "SIGHUP, the terminal hung up", 2: "SIGINT, an interrupt from the keyboard",
    3: "SIGQUIT, quit from the keyboard", 4: "SIGILL, an illegal instruction", 5: "SIGTRAP, a trap",
    6: "SIGABRT, an abort", 7: "SIGBUS, a bus error", 8: "SIGFPE, an arithmetic error",
    9: "SIGKILL, an end that cannot be handled", 10: "SIGUSR1, for the program's own use",
    11: "SIGSEGV, an invalid address", 12: "SIGUSR2, for the program's own use",
    13: "SIGPIPE, a write that nobody can read", 14: "SIGALRM, a timer ran out", 15: "SIGTERM, a request to end",
    17: "SIGCHLD, a child ended or stopped", 18: "SIGCONT, go on", 19: "SIGSTOP, a stop that cannot be handled",
    20: "SIGTSTP, a stop from the keyboard", 21: "SIGTTIN, a background read of the terminal",
    22: "SIGTTOU, a background write to the terminal", 23: "SIGURG, urgent data on a socket",
    24: "SIGXCPU, too much processor time", 25: "SIGXFSZ, too large a file",
    26: "SIGVTALRM, a timer of processor time ran out", 27: "SIGPROF, a profiling timer ran out",
    28: "SIGWINCH, the window changed its size", 29: "SIGIO, a descriptor is ready", 30: "SIGPWR, the power fails",
    31: "SIGSYS, a forbidden system call",
}  # fmt: skip


def in_words(number: int) -> str:
    """`SIGTERM, a request to end`."""
    return WORDS.get(number, f"signal {number}")


def deliveries(run: Run) -> pd.DataFrame:
    """A row a moment at which a signal arrived, in order of time: time, thread? (of a process that it ended: none),
    process, pid, signal, site, how (handled, awaited, ended)."""
    events, processes = run.trace.events, run.trace.processes
    handled = events[(events["kind"] == "signal") & (events["size"] > 0)]
    waited = (events["kind"] == "await") & (events["wait"] == "signal")
    awaited = events[waited & events["exit"].notna() & (events["result"] > 0)]
    ended = processes[processes["ended"].notna() & (processes["status"] < 0)]
    told = pd.concat([
        pd.DataFrame({"time": some["time"].to_numpy("int64"), "thread": some["thread"].to_numpy("float64", na_value=-1),
                      "process": some["process"].to_numpy("int64"), "signal": some["signal"].to_numpy("int64"),
                      "site": some["site"].to_numpy("float64", na_value=-1), "how": how})
        for how, some in (
            ("handled", handled.assign(time=handled["enter"], signal=handled["size"])),
            ("awaited", awaited.assign(time=awaited["exit"], signal=awaited["result"])),
            ("ended", ended.assign(time=ended["ended"], thread=-1.0, signal=-ended["status"], site=-1.0)),
        )
    ], ignore_index=True)  # fmt: skip
    told["pid"] = told["process"].map(processes.set_index("process")["pid"]).astype("int64")
    return told.sort_values("time", kind="stable", ignore_index=True)


def sent(kills: pd.DataFrame, told: pd.DataFrame) -> pd.Series[Any]:
    """For each kill the row of `told` that it brought about, -1 where none is known: a delivery follows from the latest
    kill of that signal at that process before it. Of signals that were merged into one the latest is drawn."""
    kills = kills[["enter", "size", "extra"]].rename(columns={"size": "pid", "extra": "signal"})
    kills = kills[kills["pid"].notna() & kills["signal"].notna()]
    left = told.reset_index(names="row")[["time", "pid", "signal", "row"]]
    right = kills.astype("int64").sort_values("enter", kind="stable").reset_index(names="kill")
    found = pd.merge_asof(left, right, left_on="time", right_on="enter", by=["pid", "signal"])
    first = found.dropna(subset="kill").drop_duplicates("kill")  # what came after was not sent by this one
    return pd.Series(first["row"].to_numpy("int64"), index=first["kill"].astype("int64"))
