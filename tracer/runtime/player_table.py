"""Which calls a replay answers from the recording, and what each of them is to the program. Script and player share it.

Roles
-----
TEXT    a stream takes bytes: compared, and made, since the layers beneath are answered
OUT     bytes leave the process: compared, and accepted as they were then
IN      bytes come
READY   which of several ends are ready
TOLD    something else that is told to the program: a child's status, a lock, a connection, a signal that was waited for
MADE    a child: its pid
SENT    something other than bytes is sent: a signal, an end
LINE    a line that C reads from a terminal, past every stream
SIGNAL  a handler runs, because somebody sent a signal
WHOLE   a call of multiprocessing's that rests on locks which processes share: told as a whole, with what is within
INSIDE  one that rests on such locks and on a pipe: within it the locks say what it said

What isn't here is made as ever: locks of threads, plain files, duplicates, closes. Those that give out descriptors are
in OPENING: the numbers may differ from the recorded ones, and are compared as the ones that they stand for.
"""

TEXT, OUT, IN, READY, TOLD, MADE, SENT, LINE, SIGNAL, WHOLE, INSIDE = range(11)

ROLES = {
    "print": TEXT, "stream.write": TEXT,
    "os.write": OUT, "raw.write": OUT, "os.writev": OUT, "os.pwrite": OUT, "os.pwritev": OUT, "os.sendfile": OUT,
    "os.splice": OUT, "os.copy_file_range": OUT, "socket.send": OUT, "socket.sendall": OUT, "socket.sendto": OUT,
    "socket.sendmsg": OUT,
    "os.read": IN, "raw.read": IN, "os.readv": IN, "os.pread": IN, "os.preadv": IN, "socket.recv": IN,
    "socket.recv_into": IN, "socket.recvfrom": IN, "socket.recvfrom_into": IN, "socket.recvmsg": IN,
    "socket.recvmsg_into": IN, "socket.peek": IN,
    "select.select": READY, "poll.poll": READY, "epoll.poll": READY,
    "socket.accept": TOLD, "socket.connect": TOLD, "socket.connect_ex": TOLD, "socket.bind": TOLD,
    "socket.listen": TOLD, "socket.shutdown": SENT,
    "os.wait": TOLD, "os.waitpid": TOLD, "os.wait3": TOLD, "os.wait4": TOLD, "os.waitid": TOLD, "os.system": TOLD,
    "fcntl.flock": TOLD, "fcntl.lockf": TOLD, "os.lockf": TOLD, "multiprocessing.Lock.acquire": TOLD,
    "signal.pause": TOLD, "signal.sigwait": TOLD, "signal.sigwaitinfo": TOLD, "signal.sigtimedwait": TOLD,
    "os.fork": MADE, "os.forkpty": MADE, "fork_exec": MADE, "os.posix_spawn": MADE, "os.posix_spawnp": MADE,
    "os.kill": SENT, "os.killpg": SENT, "signal.raise_signal": SENT, "signal.pthread_kill": SENT,
    "signal.pidfd_send_signal": SENT, "os._exit": SENT, "os.abort": SENT, "os.execv": SENT, "os.execve": SENT,
    "input": LINE,
    "signal handler": SIGNAL,
    "multiprocessing.Condition.wait": WHOLE, "multiprocessing.Event.wait": WHOLE, "Barrier.wait": WHOLE,
    "multiprocessing.Queue.task_done": WHOLE, "multiprocessing.Queue.join": WHOLE,
    "multiprocessing.Queue.get": INSIDE, "multiprocessing.Queue.put": INSIDE,
}  # fmt: skip
OPENING = frozenset((
    "os.pipe", "os.pipe2", "os.openpty", "socket.socketpair", "os.open", "open", "os.dup", "os.dup2", "os.pidfd_open",
    "socket.socket", "socket.dup", "epoll", "os.mkfifo", "os.unlink",
))  # fmt: skip
REAL = ("file", "device", "")  # kinds of channels that are the program's own, unless it was started with them
