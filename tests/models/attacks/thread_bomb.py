"""Counts how many threads it may have."""

import threading
import time

born = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        born += 1
except RuntimeError:
    print(born, flush=True)
