"""Counts how many processes it may have, then lets all of them fork without end."""

import os
import time

born = 0
try:
    while True:
        if not os.fork():
            time.sleep(60)
        born += 1
except OSError as error:
    print(born, type(error).__name__, flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
