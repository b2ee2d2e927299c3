"""A Process and a Pipe: a question and an answer.

The start method may be given: fork, spawn or forkserver.
"""

import multiprocessing
import os
import sys


def child(connection) -> None:
    question = connection.recv()
    connection.send(f"{question} Child {os.getpid()} is {multiprocessing.current_process().name}.")
    connection.close()


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs,), name="answerer")
    process.start()
    theirs.close()

    ours.send("Who is there?")
    print(f"Parent {os.getpid()} got: {ours.recv()}")
    process.join()
    print(f"The child's exit status: {process.exitcode}")
