"""select, poll and a selector wait for pipes that nobody writes to, each with a time-out."""

import os
import select
import selectors

reading, writing = os.pipe()
select.select([reading], [], [], 0.6)
poll = select.poll()
poll.register(reading, select.POLLIN)
poll.poll(600)
with selectors.DefaultSelector() as selector:
    selector.register(reading, selectors.EVENT_READ)
    selector.select(0.6)
