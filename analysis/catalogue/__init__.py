"""Every rule, by code."""

from __future__ import annotations

from .rule import Rule

_TABLE = (
    ('IPC101', 'unflushed-buffer', 'error', 'a waiter waits for bytes that a peer has written to a stream but not flushed, and that peer waits too'),
    ('IPC102', 'foreign-buffer', 'error', "the same in a program that isn't Python (awk, grep, sed, C stdio): it has read its input, has written nothing to its pipe, and waits for more"),
    ('IPC103', 'read-ahead', 'error', "what the waiter waits for already lies in a user-space read buffer (its own: `select` on a buffered reader; or its parent's: a child starts after the parent read ahead)"),
    ('IPC104', 'pipe-full', 'error', 'a writer waits for room, its reader waits for the writer (to end, to read, to write elsewhere)'),
    ('IPC105', 'missing-eof', 'error', 'a reader waits for end of file, and a write end stays open: in itself, its peer, or a bystander that inherited it'),
    ('IPC106', 'leaked-reader', 'error', 'a writer that should get EPIPE waits instead, as a read end is still held by somebody who never reads'),
    ('IPC107', 'mutual-receive', 'error', 'all wait to receive and nobody has bytes pending anywhere'),
    ('IPC108', 'short-frame', 'error', 'a reader waits for the rest of a message (a newline, N bytes) that the sender believes sent'),
    ('IPC109', 'wait-cycle', 'error', "a process waits for another's end that waits for it"),
    ('IPC110', 'queue-feeder-join', 'error', 'a process that has put on a `multiprocessing.Queue` is joined before the queue is drained'),
    ('IPC111', 'lock-cycle', 'error', 'locks (threading, multiprocessing, file locks) taken in opposite orders'),
    ('IPC112', 'lock-self', 'error', 'a thread waits for a lock that it holds itself (also from a signal handler)'),
    ('IPC113', 'lock-and-channel', 'error', 'a knot of locks and channels or joins mixed'),
    ('IPC114', 'lock-owner-gone', 'error', 'the holder ended (killed) with the lock held'),
    ('IPC115', 'fork-inherited-lock', 'error', "fork copied a lock held by a thread that doesn't exist in the child"),
    ('IPC116', 'fork-lost-thread', 'error', 'the child of a fork waits for a thread (pool, feeder) that only the parent has'),
    ('IPC117', 'fifo-open', 'error', 'opening a FIFO waits for the other side, and the other side opens another first or never comes'),
    ('IPC118', 'peer-gone', 'error', 'the process that should have answered has ended and the channel stays open elsewhere, or the work was lost with it'),
    ('IPC119', 'lost-wakeup', 'error', 'a wait began after its only notification, or waits for one that nobody left alive will give (Condition, Barrier, `task_done`, `signal.pause`, empty-then-get)'),
    ('IPC120', 'event-loop-blocked', 'error', 'an asyncio or server loop waits, synchronously, for something that only the loop can do'),
    ('IPC121', 'executor-starvation', 'error', 'every worker of a pool waits for a task queued behind it'),
    ('IPC122', 'or-knot', 'error', 'a waiter has several ways on, and all of them end in the knot'),
    ('IPC123', 'stopped', 'error', 'a member of the chain is stopped (SIGSTOP, SIGTTIN/SIGTTOU)'),
    ('IPC124', 'file-lock-held', 'error', 'a file lock lives on in a descriptor inherited by a child'),
    ('IPC125', 'livelock', 'error', 'threads are running and events go by, but no byte and no state advances'),
    ('IPC126', 'retried-wait', 'error', 'a signal came, its handler returned, and the call went back to waiting (PEP 475)'),
    ('IPC199', 'unexplained-hang', 'error', 'proven, and none of the above fits'),
    ('IPC201', 'merged-messages', 'warning', 'one read returns bytes of several writes of a sender that marks no boundary'),
    ('IPC202', 'torn-messages', 'warning', 'writes over PIPE_BUF, or several senders on a stream, interleave'),
    ('IPC203', 'lost-buffer', 'warning', "bytes still in a stream's buffer at `_exit`, exec, or death by signal"),
    ('IPC204', 'duplicated-buffer', 'warning', 'bytes pending at fork come out twice'),
    ('IPC205', 'broken-pipe', 'warning', 'broken-pipe'),
    ('IPC206', 'short-io-ignored', 'warning', 'a short write or read whose rest is never dealt with'),
    ('IPC207', 'shared-description', 'warning', 'offset or O_NONBLOCK changed under another process'),
    ('IPC208', 'stolen-input', 'warning', 'two processes read one stream'),
    ('IPC209', 'reordered-output', 'warning', 'what was printed first comes out later, across a buffer'),
    ('IPC210', 'fifo-early-eof', 'warning', 'fifo-early-eof'),
    ('IPC211', 'terminal-line-limit', 'warning', 'canonical mode cuts or drops long lines'),
    ('IPC212', 'reentrant-io', 'warning', 'I/O on a buffered stream from a signal handler'),
    ('IPC213', 'status-lost', 'warning', "a child's exit status reaped by someone else or ignored"),
    ('IPC214', 'lock-dropped', 'warning', 'a record lock released by closing another descriptor of the file'),
    ('IPC215', 'split-character', 'warning', 'a multi-byte character cut at a read'),
    ('IPC216', 'shutdown-lock', 'warning', "a daemon thread holds a stream's lock when the interpreter ends"),
    ('IPC217', 'over-read', 'warning', 'a process reads ahead, into its own buffer, what its child was meant to read from the same descriptor'),
    ('IPC301', 'leaked-descriptor', 'warning', 'an end inherited by a process that never uses it'),
    ('IPC302', 'zombie', 'warning', 'zombie'),
    ('IPC303', 'orphan', 'warning', 'outlives the program'),
    ('IPC304', 'shared-memory-lifetime', 'warning', 'unlinked under a user, or never'),
    ('IPC305', 'stale-endpoint', 'warning', 'FIFO or socket file left in the file system'),
    ('IPC401', 'tiny-writes', 'info', 'a system call for every few bytes'),
    ('IPC402', 'back-pressure', 'info', 'a writer blocked on a full channel for a noticeable part of the run'),
    ('IPC403', 'late-sender', 'info', 'late-sender'),
    ('IPC404', 'late-receiver', 'info', 'late-receiver'),
    ('IPC405', 'ping-pong', 'info', 'strict alternation where batches would do'),
    ('IPC406', 'polling', 'info', 'repeated non-blocking or short-timeout calls that return nothing'),
)

CATALOGUE: dict[str, Rule] = {
    code: Rule(code, name, severity, summary, summary, "", "", "")  # type: ignore[arg-type]
    for code, name, severity, summary in _TABLE
}

__all__ = ["CATALOGUE", "Rule"]
