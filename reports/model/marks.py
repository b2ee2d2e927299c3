"""The marks on the lanes: forks, execs, starts and ends, signals, uncaught exceptions, writes that leave the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..columns import pack
from ..run import OUTWARD, Run
from .part import Part, mapped
from .signals import deliveries, in_words, sent

# kill: a signal is sent; handled, awaited: one arrives, in a handler or where a thread waited for it; ended: by one
MARKS = ("fork", "exec", "start", "task", "exit", "out", "kill", "handled", "awaited", "ended", "uncaught")
OWN = ("fork", "exec", "start", "kill", "uncaught")  # kinds of events that are marks as they stand
COLUMNS = ["time", "lane", "kind", "other", "arrived", "number", "site", "text"]
TEXTS, LENGTH = 2000, 200  # different texts of uncaught exceptions in a page, and characters of each


def marks(run: Run) -> Part:
    """The columns `marks.…`, ordered by time: time, lane, kind (of `marks`), other? (the lane that it began, or that
    the signal went to), arrived? (when: at the other lane), number? (signal, or exit status), site?, text? (of
    `mark_texts`); and `signals`: what each number is called."""
    happened = marked(run)
    codes, texts = pd.factorize(happened["text"])
    codes = np.where(codes < TEXTS, codes, -1)
    signals = happened.loc[happened["kind"].isin(["kill", "handled", "awaited", "ended"]), "number"].dropna().unique()
    columns = {
        "time": pack(happened["time"], differences=True),
        "lane": pack(happened["lane"]),
        "kind": pack(happened["kind"].map({kind: place for place, kind in enumerate(MARKS)})),
        **{name: pack(happened[name]) for name in ("other", "arrived", "number", "site")},
        "text": pack(pd.Series(codes).where(codes >= 0)),
    }
    told = {
        "marks": MARKS,
        "mark_texts": [str(text) for text in texts[:TEXTS]],
        "signals": {int(number): in_words(int(number)) for number in sorted(signals)},
    }
    return Part(told, {f"marks.{name}": column for name, column in columns.items()})


def marked(run: Run) -> pd.DataFrame:
    """The marks as a table of `COLUMNS`, ordered by time; kind is one of `MARKS`."""
    happened = pd.concat([_calls(run), _tasks(run), _ends(run)], ignore_index=True)
    happened = pd.concat([happened, _unseen_forks(run, happened)], ignore_index=True)
    return happened[happened["lane"].notna()].sort_values("time", kind="stable", ignore_index=True)


def _calls(run: Run) -> pd.DataFrame:
    """Marks that are events, and the signals that arrived."""
    events = run.trace.events
    outward = [row["channel"] for row in run.channels if row["kind"] in OUTWARD]
    out = (events["kind"] == "write") & events["channel"].isin(outward)
    picked = events[out | events["kind"].isin(OWN)]
    picked = picked[~_forked_within(picked)]
    kind = picked["kind"].astype("str").where(picked["kind"] != "write", "out")
    made = pd.DataFrame({
        "time": picked["enter"], "lane": mapped(picked["thread"], run.lane_of_thread).to_numpy(), "kind": kind,
        "other": np.nan, "arrived": np.nan, "number": np.nan, "site": picked["site"].astype("float64"), "text": None,
    }, index=picked.index)  # fmt: skip
    _begun(run, picked, made)
    _signals(run, picked, made)
    words = run.trace.payloads
    words = words[words["event"].isin(picked.loc[kind == "uncaught", "event"])]
    said = {
        event: bytes(data).decode(errors="replace")[:LENGTH]
        for event, data in zip(words["event"], words["data"], strict=True)
    }
    made["text"] = picked["event"].map(said).astype(object)
    told = deliveries(run)
    lanes = mapped(told["thread"], run.lane_of_thread)
    arrived = pd.DataFrame({
        "time": told["time"], "lane": lanes.where(told["thread"] >= 0, mapped(told["process"], run.lane_of_process)),
        "kind": told["how"], "number": told["signal"], "site": told["site"].where(told["site"] >= 0),
    })  # fmt: skip
    return pd.concat([made, arrived.reindex(columns=COLUMNS)], ignore_index=True)


def _forked_within(picked: pd.DataFrame) -> pd.Series[Any]:
    """Whether a mark is a Process.start around a fork that is a mark itself."""
    forked = picked.loc[picked["kind"] == "fork", "result"].dropna()
    return (picked["kind"] == "start") & picked["result"].notna() & picked["result"].isin(forked)


def _begun(run: Run, picked: pd.DataFrame, made: pd.DataFrame) -> None:
    """Which lane a fork or a start began, and when: found by its pid or native id, of equal numbers the nearest in
    time; a thread of which the start knew no number is the next to begin in its process, if that was within the call.
    """
    threads = run.trace.threads.assign(id=run.trace.threads["thread"])
    processes = run.trace.processes.assign(id=run.trace.processes["process"])
    starts = made["kind"] == "start"
    by_pid = (starts | (made["kind"] == "fork")) & picked["result"].notna()
    by_number = starts & ~by_pid & (picked["size"] > 0)
    for rows, number, table, key, direction, lanes in (
        (by_pid, "result", processes, "pid", "nearest", run.lane_of_process),
        (by_number, "size", threads, "tid", "nearest", run.lane_of_thread),
        (starts & ~by_pid & ~by_number, "process", threads[~threads["main"]], "process", "forward", run.lane_of_thread),
    ):
        wanted = picked.loc[rows, ["enter", "exit", number]].rename(columns={"enter": "time", number: "number"})
        wanted = wanted.astype({"time": "int64", "number": "int64"}).sort_values("time", kind="stable")
        there = pd.DataFrame({"begun": table["started"], "number": table[key], "id": table["id"]}).dropna()
        there = there.astype("int64").sort_values("begun", kind="stable")
        found = pd.merge_asof(wanted, there, left_on="time", right_on="begun", by="number", direction=direction)  # type: ignore[arg-type]
        if direction == "forward":
            found = found.mask(found["begun"] > found["exit"].fillna(run.end))
        made.loc[wanted.index, "other"] = mapped(found["id"], lanes).to_numpy()
        made.loc[wanted.index, "arrived"] = found["begun"].to_numpy("float64", na_value=np.nan)


def _signals(run: Run, picked: pd.DataFrame, made: pd.DataFrame) -> None:
    """Which signal a kill sent, to which lane, and when it arrived there, as far as that is known."""
    kills = picked[picked["kind"] == "kill"]
    made.loc[kills.index, "number"] = kills["extra"].astype("float64")
    # to whom is known of a pid, even where nothing arrived
    processes = run.trace.processes.drop_duplicates("pid", keep="last").set_index("pid")["process"]
    made.loc[kills.index, "other"] = mapped(kills["size"].map(processes), run.lane_of_process).to_numpy()
    told = deliveries(run)
    caused = sent(kills[kills["error"].isna()], told)
    there = told.loc[caused.to_numpy()]
    lanes = mapped(there["thread"], run.lane_of_thread)
    lanes = lanes.where(lanes.notna(), mapped(there["process"], run.lane_of_process))
    made.loc[caused.index, "other"] = lanes.to_numpy()
    made.loc[caused.index, "arrived"] = there["time"].to_numpy("float64")


def _tasks(run: Run) -> pd.DataFrame:
    """Where a task of asyncio began: on its loop's lane, with a line to its own."""
    threads = run.trace.threads
    tasks = threads[threads["loop"].notna()]
    events = run.trace.events
    sites = events[events["kind"] == "task"].drop_duplicates("thread").set_index("thread")["site"]
    return pd.DataFrame({
        "time": tasks["started"].to_numpy("int64"), "lane": mapped(tasks["loop"], run.lane_of_thread), "kind": "task",
        "other": mapped(tasks["thread"], run.lane_of_thread), "arrived": tasks["started"].to_numpy("float64"),
        "site": tasks["thread"].map(sites).to_numpy("float64", na_value=np.nan),
    }).reindex(columns=COLUMNS)  # fmt: skip


def _unseen_forks(run: Run, happened: pd.DataFrame) -> pd.DataFrame:
    """The begins of processes whose fork nobody recorded: their parents are not traced."""
    processes = run.trace.processes
    lanes = mapped(processes["process"], run.lane_of_process).to_numpy()
    seen = happened.loc[happened["kind"].isin(["fork", "start"]), "other"]
    some = processes["parent"].notna().to_numpy() & ~np.isin(lanes, seen)
    return pd.DataFrame({
        "time": processes["started"].to_numpy("int64")[some], "kind": "fork", "other": lanes[some],
        "lane": mapped(processes["parent"], run.lane_of_process).to_numpy()[some],
        "arrived": processes["started"].to_numpy("float64")[some],
    }).reindex(columns=COLUMNS)  # fmt: skip


def _ends(run: Run) -> pd.DataFrame:
    """The ends of processes, with their exit status; by a signal: see `deliveries`. An os._exit says where it was."""
    processes, events = run.trace.processes, run.trace.events
    ended = processes[processes["ended"].notna() & ~(processes["status"] < 0).fillna(False)]
    sites = events[events["kind"] == "exit"].drop_duplicates("process", keep="last").set_index("process")["site"]
    return pd.DataFrame({
        "time": ended["ended"].to_numpy("int64"), "lane": mapped(ended["process"], run.lane_of_process), "kind": "exit",
        "number": ended["status"].to_numpy("float64", na_value=np.nan),
        "site": ended["process"].map(sites).to_numpy("float64", na_value=np.nan),
    }).reindex(columns=COLUMNS)  # fmt: skip
