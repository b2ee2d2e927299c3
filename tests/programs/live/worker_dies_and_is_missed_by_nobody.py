"""A worker fails after it took a piece of work, and another takes that up after a while."""

import multiprocessing
import os
import time


def work(tasks, answers, fails):
    task = tasks.get()
    if fails:
        tasks.put(task)
        time.sleep(0.2)
        os._exit(1)
    time.sleep(2)
    answers.put(task)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    tasks, answers = context.SimpleQueue(), context.SimpleQueue()
    tasks.put("one")
    first = context.Process(target=work, args=(tasks, answers, True))
    first.start()
    first.join()
    second = context.Process(target=work, args=(tasks, answers, False))
    second.start()
    assert answers.get() == "one"
    second.join()
