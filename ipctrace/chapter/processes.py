"""A Process and a Pipe: a question and an answer.

The start method may be given: fork, spawn or forkserver.
"""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection


def child(connection: Connection) -> None:
    question = connection.recv()
    connection.send(f"{question} Child {os.getpid()} is {multiprocessing.current_process().name}.")
    connection.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        multiprocessing.set_start_method(sys.argv[1])
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=child, args=(theirs,), name="answerer")
    process.start()
    theirs.close()

    ours.send("Who is there?")
    print(f"Parent {os.getpid()} got: {ours.recv()}")
    process.join()
    print(f"The child's exit status: {process.exitcode}")
