"""A join with a time-out ends by itself."""

import os
import threading

reading, writing = os.pipe()
reader = threading.Thread(target=os.read, args=(reading, 1))
reader.start()
reader.join(1.2)
os.write(writing, b"x")
reader.join()
