"""The table of wrapped calls, and how a record lies in the log. Writer and reader share this file, nothing else.

Laws of the log
---------------
1. One file a process image, mapped shared by the target: `HEADER_SIZE` bytes of header, then records of one fixed size.
2. A slot is claimed by one counter, so threads and signal handlers never share one.
3. A record is written when its call is entered (`OPEN`) and completed when it returns (`DONE`) or raises (`FAILED`).
   So a blocked thread *is* an open record, and a killed process loses nothing.
4. `state` is the last byte of the fixed part and is written after it: a record whose state is 0 has not been written.
5. What doesn't fit a record's payload area goes on in `MORE` records, which name their first record and their index.
6. Definitions (`PROCESS`, `THREAD`, `SITE`, …) are records whose payload is text: fields joined by `SEPARATOR`.
   A definition comes before the first record that refers to it.

Standard library only; this file is also read by the tool, through `ipctrace.tracer.schema`.
"""

MAGIC = b"IPCTRACE"
VERSION = 1
HEADER_SIZE = 4096
# magic, version, record size, pid, parent pid, monotonic ns at start, wall-clock ns at start, records lost
HEADER = "<8sIIIIQQQ"
LOST_AT = 40  # offset of "records lost" in the header

# The fixed part of a record. ENTER is written at enter; EXIT at exit; both little-endian and without padding.
#   op B · flags B · kept H · thread I · enter Q · fd i · site I · channel I · stream I · offset Q · size q
ENTER = "<BBHIQiIIIQq"
#   exit Q · result q · extra q · pending q · error i · kept H · (1 spare byte) · state B
# `kept` counts the bytes in the record's own payload area: at enter what a write hands over, at exit what a read got.
EXIT = "<QqqqiHxB"
EXIT_AT = 48  # offset of EXIT within a record
STATE_AT = 87  # offset of the state byte
PAYLOAD_AT = 88  # the payload area begins here and fills the record
PREFIX = 72  # payload bytes kept by default: records of 160 bytes
RECORDS_A_BLOCK = 1024  # segments are whole blocks: with record sizes that are multiples of 8, whole pages too

UNWRITTEN, OPEN, DONE, FAILED = 0, 1, 2, 3
# What isn't there: fd -1 · site, channel, stream 0 (their ids begin at 1 in each log) · size, result, extra, pending:
# NONE · offset: 0 (it means something only for accepts and for writes by a stream).
NO_FD = -1
NONE = -(1 << 63)


def record_size(payload: int) -> int:
    """Bytes of a record that keeps `payload` bytes; never too small for a definition's text to be worth its record."""
    return PAYLOAD_AT + (max(payload, 40) + 7) // 8 * 8


SEPARATOR = "\x1f"
LIST_SEPARATOR = "\x1e"

# Definitions: code, name, and the fields of the text.
MORE = 1
PROCESS = 2
THREAD = 3
SITE = 4
CHANNEL = 5
DESCRIPTOR = 6
STREAM = 7
DEFINITIONS = (
    # how: start (a new program image) | fork; argv: joined by LIST_SEPARATOR; unbuffered: sys.flags.unbuffered
    (PROCESS, "process", ("how", "executable", "implementation", "argv", "cwd", "unbuffered", "environment")),
    # record.thread = native thread id; main: 1 for the main thread
    (THREAD, "thread", ("name", "main")),
    # record.site = the id being defined; columns count UTF-8 bytes from 0, -1 where the interpreter doesn't know them
    (SITE, "site", ("file", "function", "line", "column", "end_line", "end_column")),
    # record.channel = the id being defined; kind: pipe fifo socket tty file device other; path where it has one
    (CHANNEL, "channel", ("kind", "device", "inode", "path")),
    # record.fd, record.channel: an end that the process holds as it starts; access: r w rw; inheritable: 0 1
    (DESCRIPTOR, "descriptor", ("access", "inheritable")),
    # record.stream = the id being defined, record.fd, record.channel (what it led to when it was made),
    # record.offset = bytes accepted so far, record.size = bytes that reached the descriptor so far (not 0 after a fork)
    (STREAM, "stream", ("name", "mode", "layer", "encoding", "buffering", "buffer_size", "why")),
)

# Events. kind says what the call does, which is all that the analysis asks of it:
#   read write       bytes between the process and a descriptor (size: asked, result: moved, payload: the bytes)
#   accept           a stream took bytes (size = bytes, offset = bytes accepted before); they may stay in its buffer
#   flush            a stream was told to flush (pending: bytes still stuck after it)
#   take             a program asked a stream for bytes or characters (result: how many it got)
#   input            the built-in, around the flush and the take that it makes
#   make open duplicate close   descriptors (make: fd = the reading end, result = the writing end;
#                    duplicate: fd → result; open: result; close: fd; closerange: fd to extra)
#   fork exec exit wait start join thread sleep
#   arm              a timer that will send a signal: whoever armed one can always be woken
#   kill             a signal is sent to a process
#   handle           a signal gets a handler (extra 1: the program's own code) or loses it (extra 0)
#   uncaught         an exception that nothing handled (payload: its type and message)
# wait is the reason why a thread stays in it ("" where it doesn't wait).
# Fields by kind: fork: result = child's pid (in the parent) · wait: size = pid asked for, result = pid got, extra = raw
# wait status · exit: size = status · sleep: size = nanoseconds · arm: size = nanoseconds until the first signal, 0 to
# disarm, extra = nanoseconds between further ones · handle: size = signal · kill: size = pid, extra = signal · start,
# join: size = native id of the other thread, 0 where it isn't known yet · thread: the life of a thread, from begin to
# end · stream calls: pending = bytes stuck in the stream's buffers after the call; offset = bytes accepted (accept) or
# reached (write) before it.
CALLS = (
    (16, "os.read", "read", "nodata"),
    (17, "os.write", "write", "noroom"),
    (18, "raw.read", "read", "nodata"),  # the raw layer under a rebuilt stream
    (19, "raw.write", "write", "noroom"),
    (24, "os.pipe", "make", ""),
    (25, "os.pipe2", "make", ""),
    (26, "os.open", "open", "peer"),
    (27, "open", "open", "peer"),
    (28, "os.dup", "duplicate", ""),
    (29, "os.dup2", "duplicate", ""),
    (30, "os.close", "close", ""),
    (31, "os.closerange", "close", ""),
    (32, "stream.close", "close", ""),
    (40, "os.fork", "fork", ""),
    (41, "os.forkpty", "fork", ""),
    (42, "os.execv", "exec", ""),
    (43, "os.execve", "exec", ""),
    (44, "fork_exec", "fork", ""),  # _posixsubprocess.fork_exec, under subprocess and multiprocessing
    (45, "os._exit", "exit", ""),
    (48, "os.wait", "wait", "child"),
    (49, "os.waitpid", "wait", "child"),
    (50, "os.wait3", "wait", "child"),
    (51, "os.wait4", "wait", "child"),
    (52, "os.waitid", "wait", "child"),
    (56, "print", "accept", ""),  # what print() hands to a stream: it writes its text and its end apart
    (57, "input", "input", ""),
    (58, "stream.write", "accept", ""),
    (60, "stream.flush", "flush", ""),
    (61, "stream.readline", "take", ""),
    (62, "stream.read", "take", ""),
    (64, "time.sleep", "sleep", "sleep"),
    (72, "thread", "thread", ""),
    (73, "Thread.start", "start", ""),
    (74, "Thread.join", "join", "child"),
    (75, "threading.shutdown", "join", "child"),  # the main thread waits for the others before the interpreter ends
    (76, "Thread.join timed", "join", "sleep"),  # with a time-out: ends by itself
    (80, "signal.alarm", "arm", ""),
    (81, "signal.setitimer", "arm", ""),
    (82, "signal.signal", "handle", ""),
    (83, "os.kill", "kill", ""),
    (88, "uncaught", "uncaught", ""),
)

CODE = {name: code for code, name, _, _ in CALLS}
