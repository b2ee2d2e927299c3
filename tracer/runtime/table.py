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
FLAGS_AT, CHANNEL_AT, OFFSET_AT = 1, 24, 32  # where the fields of those names lie in a record
EXIT_AT = 48  # offset of EXIT within a record
STATE_AT = 87  # offset of the state byte
PAYLOAD_AT = 88  # the payload area begins here and fills the record
PREFIX = 72  # payload bytes kept by default: records of 160 bytes
RECORDS_A_BLOCK = 1024  # segments are whole blocks: with record sizes that are multiples of 8, whole pages too

UNWRITTEN, OPEN, DONE, FAILED = 0, 1, 2, 3
# Flags of a record.
ADDRESSED = 1  # offset is the id of an ADDRESS definition
TIMED = 2  # the call ends by itself after some time at most, even if nobody does anything
NONBLOCKING = 4  # the call doesn't wait at all
GHOST = 8  # what a thread of the parent did before the fork, told by the child that suffers from it
# What isn't there: fd -1 · site, channel, stream 0 (their ids begin at 1 in each log) · size, result, extra, pending:
# NONE · offset: 0 (its meaning by kind stands below).
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
ADDRESS = 8
ENDPOINT = 9
ENVIRONMENT = 10
TASK = 11
NAME = 12
INTERPRETER = 13
DEFINITIONS = (
    # how: start (a new program image) | fork; argv: joined by LIST_SEPARATOR; unbuffered: sys.flags.unbuffered
    (PROCESS, "process", ("how", "executable", "implementation", "argv", "cwd", "unbuffered", "environment")),
    # record.thread = native thread id; main: 1 for the main thread
    (THREAD, "thread", ("name", "main")),
    # record.site = the id being defined; columns count UTF-8 bytes from 0, -1 where the interpreter doesn't know them
    (SITE, "site", ("file", "function", "line", "column", "end_line", "end_column")),
    # record.channel = the id being defined; kind: pipe fifo socket tty file device other, of a device and an inode;
    # or lock rlock condition event semaphore barrier queue future memory: an object of Python's. Of those device is 0;
    # with a path (the system's name of a semaphore) it is the same one in every process; without, inode numbers it
    # within its process, record.offset = pid of the process that made it (a fork copies it), record.site = where.
    # record.size = capacity (items of a queue, places of a semaphore, parties of a barrier, bytes of memory)
    (CHANNEL, "channel", ("kind", "device", "inode", "path")),
    # record.fd, record.channel: an end that the process holds as it starts; access: r w rw; inheritable: 0 1
    (DESCRIPTOR, "descriptor", ("access", "inheritable")),
    # record.stream = the id being defined, record.fd, record.channel (what it led to when it was made),
    # record.offset = bytes accepted so far, record.size = bytes that reached the descriptor so far (not 0 after a fork)
    (STREAM, "stream", ("name", "mode", "layer", "encoding", "buffering", "buffer_size", "why")),
    # record.offset = the id being defined: what a datagram's address, a bound name, … is in words
    (ADDRESS, "address", ("text",)),
    # record.channel = one end of a connection, where each end is a channel of its own: a socket, a pseudo-terminal.
    # form: tcp udp unix-stream unix-datagram unix-seqpacket pty other; local, remote: addresses in words ("" unknown);
    # peer_pid: SO_PEERCRED's; record.offset = the other end's channel, where this process knows it (socketpair).
    # record.size = when its connect began (monotonic ns), of an end that connected.
    # Written again whenever more is known.
    (ENDPOINT, "endpoint", ("form", "local", "remote", "peer_pid")),
    # what the program image was given, NAME=value joined by LIST_SEPARATOR; NAME alone where values aren't kept
    (ENVIRONMENT, "environment", ("variables",)),
    # an asyncio task. record.size = the number that it has in place of a native thread id (from TASKS on),
    # record.thread = the thread that runs its loop, record.site = where it was made
    (TASK, "task", ("name", "coroutine")),
    # the name that the program (multiprocessing) gave to its process
    (NAME, "name", ("text",)),
    # of the interpreter: buffer_size (bytes of a stream's buffer), start_method (multiprocessing's own default)
    (INTERPRETER, "interpreter", ("fact", "value")),
)
OBJECTS = ("lock", "rlock", "condition", "event", "semaphore", "barrier", "queue", "future", "memory")
TASKS = 1 << 31  # native thread ids are far below

# Events. kind says what the call does, which is all that the analysis asks of it:
#   read write       bytes between the process and a descriptor (size: asked, result: moved, payload: the bytes)
#   accept           a stream took bytes (size = bytes, offset = bytes accepted before); they may stay in its buffer
#   flush            a stream was told to flush (pending: bytes still stuck after it)
#   take             a program asked a stream for bytes or characters (result: how many it got)
#   input            the built-in, around the flush and the take that it makes
#   send receive     a whole message, as Python has it: of a queue (channel: the queue) or of a Connection (fd, and
#                    size or result: bytes)
#   load store       bytes of shared memory (offset: position, size, payload)
#   make             a pipe (fd = the reading end, result = the writing end)
#   pair             two ends that are each other's peers: socketpair, openpty (fd, result)
#   open duplicate close   descriptors (duplicate: fd → result; open: result; close: fd; closerange: fd to extra)
#                    open of a name: size = flags of open(2), payload = the name, extra = 1: it made what it opened
#   pass             a descriptor (fd) went along with a message; it arrives as an open in the receiver
#   connect          two ends meet: connect (fd), accept (fd = who listens, result = the new one)
#   bind listen shutdown   of a socket (fd); bind: address; shutdown: size = how
#   control          fcntl (fd, size = command, result, extra = argument), set_blocking and set_inheritable (size = 0 1)
#   entry unlink     a name in the file system (FIFO, shared memory) appears or goes; payload: the name
#   map unmap        memory that several processes see (channel, size; extra = 1: SharedMemory made it)
#   look change      at or of what is shared: a name in the file system (payload), an event of Python's (channel)
#   select           waits until one of several ends is ready: the payload lists them ("r3 w4"), result = how many are,
#                    extra = the first of them (a descriptor)
#   acquire release  a lock or semaphore (channel); acquire: offset = native id of the thread that held it as the call
#                    began (0: unknown or nobody), result = 0 where it wasn't got
#   await notify     until something is said: a condition, event, barrier, future, signal (size: its number; channel: 0)
#   submit work      a piece of work is handed to a pool; a worker does it (channel: its future)
#   fork exec exit wait start join thread task sleep
#   arm              a timer that will send a signal: whoever armed one can always be woken
#   kill             a signal is sent to a process
#   handle           a signal gets a handler (extra 1: the program's own code) or loses it (extra 0; result 1: ignored)
#   signal           a signal's handler runs, from begin to end (size = signal; site: what it interrupted)
#   environment      a variable is set or unset for later children (payload: its name)
#   uncaught         an exception that nothing handled, which ends its thread (payload: its type and message)
#   clock chance     a clock is read; random bytes, or a seed, are drawn (record --time)
#   decode           bytes ended within a character, as they were decoded by themselves: UnicodeDecodeError
# wait is the reason why a thread stays in it ("" where it doesn't wait): schema.REASONS.
# Fields by kind: fork: result = child's pid (in the parent); of fork_exec: fd, size, extra = what becomes the child's
# stdin, stdout and stderr, -1 for its parent's own · wait: size = pid asked for, result = pid got, extra = raw
# wait status · exit: size = status · sleep: size = nanoseconds · arm: size = nanoseconds until the first signal, 0 to
# disarm, extra = nanoseconds between further ones · handle: size = signal · kill: size = pid, extra = signal · start,
# join: size = native id of the other thread, 0 where it isn't known yet · thread: the life of a thread, from begin to
# end (size = 1 for a daemon, which nobody waits for at the end, else 0); task: of a task · stream calls: pending =
# bytes stuck in the stream's buffers after the call; offset = bytes accepted (accept) or reached (write) before it ·
# read, write of a plain file: extra = position in it after the call ·
# write to a pseudo-terminal's leader: extra = bytes of the longest line in it, where the terminal drops some of it ·
# acquire, await, send, receive, select: size = nanoseconds that it waits at most, NONE: as long as it takes (send,
# receive of a Connection: bytes); but acquire of a file's lock: size = operation of flock(2), payload = "start+length"
# of a lock on a part of the file.
CALLS = (
    (16, "os.read", "read", "nodata"),
    (17, "os.write", "write", "noroom"),
    (18, "raw.read", "read", "nodata"),  # the raw layer under a rebuilt stream
    (19, "raw.write", "write", "noroom"),
    (20, "os.readv", "read", "nodata"),
    (21, "os.writev", "write", "noroom"),
    (22, "os.sendfile", "write", "noroom"),  # fd = out; extra = in; so for splice and copy_file_range
    (23, "os.splice", "write", "noroom"),
    (24, "os.pipe", "make", ""),
    (25, "os.pipe2", "make", ""),
    (26, "os.open", "open", "peer"),
    (27, "open", "open", "peer"),
    (28, "os.dup", "duplicate", ""),
    (29, "os.dup2", "duplicate", ""),
    (30, "os.close", "close", ""),
    (31, "os.closerange", "close", ""),
    (32, "stream.close", "close", ""),
    (33, "os.pread", "read", ""),
    (34, "os.pwrite", "write", ""),
    (35, "os.preadv", "read", ""),
    (36, "os.pwritev", "write", ""),
    (37, "os.copy_file_range", "write", ""),
    (38, "os.openpty", "pair", ""),
    (39, "os.mkfifo", "entry", ""),
    (40, "os.fork", "fork", ""),
    (41, "os.forkpty", "fork", ""),
    (42, "os.execv", "exec", ""),
    (43, "os.execve", "exec", ""),
    (44, "fork_exec", "fork", ""),  # _posixsubprocess.fork_exec, under subprocess and multiprocessing
    (45, "os._exit", "exit", ""),
    (46, "os.posix_spawn", "fork", ""),
    (47, "os.posix_spawnp", "fork", ""),
    (48, "os.wait", "wait", "child"),
    (49, "os.waitpid", "wait", "child"),
    (50, "os.wait3", "wait", "child"),
    (51, "os.wait4", "wait", "child"),
    (52, "os.waitid", "wait", "child"),
    # its own child: the one that is started within it; size NONE, payload: the command
    (53, "os.system", "wait", "child"),
    (54, "os.pidfd_open", "open", ""),  # size = the pid
    (55, "os.putenv", "environment", ""),
    (59, "os.unsetenv", "environment", ""),
    (56, "print", "accept", ""),  # what print() hands to a stream: it writes its text and its end apart
    (57, "input", "input", ""),
    (58, "stream.write", "accept", ""),
    (60, "stream.flush", "flush", ""),
    (61, "stream.readline", "take", ""),
    (62, "stream.read", "take", ""),
    (98, "stream.read1", "take", ""),  # and readinto1: what there is, after one read at most
    (99, "stream.readinto", "take", ""),
    (63, "os.splice source", "read", "nodata"),  # the pipe that a splice reads
    (64, "time.sleep", "sleep", "sleep"),
    (65, "os.unlink", "unlink", ""),  # of a FIFO or socket
    (66, "os.set_blocking", "control", ""),
    (67, "os.set_inheritable", "control", ""),
    (68, "fcntl.fcntl", "control", ""),
    (69, "fcntl.flock", "acquire", "lock"),
    (70, "fcntl.lockf", "acquire", "lock"),
    (71, "os.lockf", "acquire", "lock"),
    (72, "thread", "thread", ""),
    (73, "Thread.start", "start", ""),
    (74, "Thread.join", "join", "child"),
    (75, "threading.shutdown", "join", "child"),  # the main thread waits for the others before the interpreter ends
    (76, "Thread.join timed", "join", "sleep"),  # with a time-out: ends by itself
    (77, "fcntl.flock unlock", "release", ""),
    (78, "fcntl.lockf unlock", "release", ""),
    (79, "os.lockf unlock", "release", ""),
    (80, "signal.alarm", "arm", ""),
    (81, "signal.setitimer", "arm", ""),
    (82, "signal.signal", "handle", ""),
    (83, "os.kill", "kill", ""),
    (84, "os.killpg", "kill", ""),  # size = minus the group
    (85, "signal.raise_signal", "kill", ""),
    (86, "signal.pthread_kill", "kill", ""),
    (87, "signal.pidfd_send_signal", "kill", ""),  # fd = the pidfd
    (88, "uncaught", "uncaught", ""),
    (89, "os.abort", "exit", ""),
    # size = the signal waited for (NONE: any of several), payload: all of them, result = the one that came
    (90, "signal.pause", "await", "signal"),
    (91, "signal.sigwait", "await", "signal"),
    (92, "signal.sigwaitinfo", "await", "signal"),
    (93, "signal.sigtimedwait", "await", "signal"),
    (94, "signal handler", "signal", ""),
    (95, "decode", "decode", ""),  # size = bytes that were to be decoded, payload: those of the character that is cut
    # threads. Of locks only what shows something: an acquire that had to wait, and for whom
    (100, "Lock.acquire", "acquire", "lock"),
    (101, "Lock.release", "release", ""),
    (102, "RLock.acquire", "acquire", "lock"),
    (103, "RLock.release", "release", ""),
    (104, "Condition.wait", "await", "notice"),
    (105, "Condition.notify", "notify", ""),  # size = how many, NONE: all
    (107, "Event.wait", "await", "notice"),
    (108, "Event.set", "notify", ""),
    (109, "Semaphore.acquire", "acquire", "lock"),
    (110, "Semaphore.release", "release", ""),
    (111, "Barrier.wait", "await", "notice"),
    (112, "Barrier.abort", "notify", ""),
    (113, "Queue.put", "send", "noroom"),
    (114, "Queue.get", "receive", "nodata"),
    (115, "Queue.join", "await", "notice"),
    (116, "Queue.task_done", "notify", ""),
    (125, "Queue.shutdown", "notify", ""),
    (117, "SimpleQueue.put", "send", ""),
    (118, "SimpleQueue.get", "receive", "nodata"),
    (119, "Future.result", "await", "notice"),
    (120, "Future.set", "notify", ""),
    (121, "Executor.submit", "submit", ""),
    (122, "work", "work", ""),
    (124, "import", "acquire", "lock"),  # a module that another thread is importing; payload: its name
    # multiprocessing
    (130, "multiprocessing.Lock.acquire", "acquire", "lock"),  # and RLock, Semaphore: every one is a semaphore
    (131, "multiprocessing.Lock.release", "release", ""),
    (132, "multiprocessing.Condition.wait", "await", "notice"),
    (133, "multiprocessing.Condition.notify", "notify", ""),
    (134, "multiprocessing.Event.wait", "await", "notice"),
    (135, "multiprocessing.Event.set", "notify", ""),
    (137, "Connection.send", "send", "noroom"),
    (138, "Connection.recv", "receive", "nodata"),
    (139, "multiprocessing.Queue.put", "send", "noroom"),
    (140, "multiprocessing.Queue.get", "receive", "nodata"),
    (141, "multiprocessing.Queue.next", "await", "notice"),  # the feeder thread has nothing to write: until a put
    (142, "multiprocessing.Queue.task_done", "notify", ""),
    (143, "multiprocessing.Queue.join", "await", "notice"),
    (144, "multiprocessing.Queue.join_thread", "join", "child"),
    (145, "Process.start", "start", ""),  # result = pid
    (146, "Process.join", "wait", "child"),
    (147, "multiprocessing.Queue.feed", "work", ""),  # the feeder thread writes one object: size = bytes
    (148, "SharedMemory", "map", ""),
    (149, "SharedMemory.close", "unmap", ""),
    (150, "SharedMemory.unlink", "unlink", ""),
    (151, "mmap", "map", ""),
    (152, "mmap.close", "unmap", ""),
    (153, "mmap.write", "store", ""),
    (154, "mmap.read", "load", ""),
    (155, "ShareableList.set", "store", ""),
    (156, "ShareableList.get", "load", ""),
    # sockets
    (160, "socket.recv", "read", "nodata"),
    (161, "socket.recv_into", "read", "nodata"),
    (162, "socket.recvfrom", "read", "nodata"),
    (163, "socket.recvfrom_into", "read", "nodata"),
    (164, "socket.recvmsg", "read", "nodata"),
    (165, "socket.recvmsg_into", "read", "nodata"),
    (166, "socket.send", "write", "noroom"),
    (167, "socket.sendall", "write", "noroom"),
    (168, "socket.sendto", "write", "noroom"),
    (169, "socket.sendmsg", "write", "noroom"),
    (170, "socket.accept", "connect", "peer"),
    (171, "socket.connect", "connect", "peer"),
    (172, "socket.connect_ex", "connect", "peer"),
    (173, "socket.close", "close", ""),
    (174, "socket.shutdown", "shutdown", ""),
    (175, "socket.bind", "bind", ""),
    (176, "socket.listen", "listen", ""),
    (177, "socket.socketpair", "pair", ""),
    (178, "socket.socket", "open", ""),
    (179, "socket.peek", "select", "ready"),  # a recv that takes nothing away: MSG_PEEK
    (180, "socket.dup", "duplicate", ""),
    (182, "descriptor passed", "pass", ""),
    (183, "descriptor received", "open", ""),
    (190, "select.select", "select", "ready"),
    (191, "poll.poll", "select", "ready"),
    (192, "epoll.poll", "select", "ready"),
    (193, "epoll", "open", ""),
    # what a program is told by clocks and by chance, with `record --time` (clocks.py): result = the time (of a float
    # its bits), or the payload
    (194, "time.time", "clock", ""),
    (195, "time.time_ns", "clock", ""),
    (196, "time.monotonic", "clock", ""),
    (197, "time.monotonic_ns", "clock", ""),
    (198, "time.perf_counter", "clock", ""),
    (199, "time.perf_counter_ns", "clock", ""),
    (226, "os.urandom", "chance", ""),
    (227, "random.seed", "chance", ""),
    # asyncio: what a task waits for, on a line of its own
    (200, "task", "task", ""),
    (201, "asyncio.sleep", "sleep", "sleep"),
    (202, "StreamReader.read", "take", "nodata"),
    (203, "StreamReader.readline", "take", "nodata"),
    (204, "StreamReader.readexactly", "take", "nodata"),
    (205, "StreamReader.readuntil", "take", "nodata"),
    (206, "StreamWriter.drain", "flush", "noroom"),
    (207, "StreamWriter.write", "accept", ""),
    (208, "asyncio.Lock.acquire", "acquire", "lock"),
    (209, "asyncio.Lock.release", "release", ""),
    (210, "asyncio.Event.wait", "await", "notice"),
    (211, "asyncio.Event.set", "notify", ""),
    (212, "asyncio.Condition.wait", "await", "notice"),
    (213, "asyncio.Condition.notify", "notify", ""),
    (214, "asyncio.Semaphore.acquire", "acquire", "lock"),
    (215, "asyncio.Semaphore.release", "release", ""),
    (216, "asyncio.Queue.put", "send", "noroom"),
    (217, "asyncio.Queue.get", "receive", "nodata"),
    (218, "asyncio.Queue.join", "await", "notice"),
    (219, "asyncio.Queue.task_done", "notify", ""),
    (220, "asyncio.Process.wait", "wait", "child"),
    (221, "await tasks", "join", "child"),  # gather, wait, wait_for, or a task awaited: size = the first one's number
    (222, "asyncio.Process.communicate", "wait", "child"),
    (223, "asyncio.open_connection", "connect", "peer"),
    (224, "loop.run_in_executor", "submit", ""),
    (225, "asyncio.Future", "await", "notice"),
    # Recorded only where the order of everything that is shared matters: gate.py
    (230, "os.stat", "look", ""),
    (231, "os.lstat", "look", ""),
    (232, "os.access", "look", ""),
    (233, "os.listdir", "look", ""),
    (234, "os.scandir", "look", ""),
    (235, "os.readlink", "look", ""),
    (236, "os.rename", "change", ""),  # payload: both names, with a NUL between them; so for replace, link
    (237, "os.replace", "change", ""),
    (238, "os.link", "change", ""),
    (239, "os.symlink", "change", ""),
    (240, "os.remove", "change", ""),  # and os.unlink, of whatever there is
    (241, "os.mkdir", "change", ""),
    (242, "os.rmdir", "change", ""),
    (243, "os.truncate", "change", ""),
    (244, "Event.is_set", "look", ""),
    (245, "Event.clear", "change", ""),
    (246, "multiprocessing.Event.is_set", "look", ""),
    (247, "multiprocessing.Event.clear", "change", ""),
)

CODE = {name: code for code, name, _, _ in CALLS}
