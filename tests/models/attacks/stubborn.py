"""Ignores every signal; sleeps or works for ever, with its streams closed or open."""

import os
import signal
import time

how = input()
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
print("begun", flush=True)
if "closed" in how:
    os.closerange(0, 3)
if "many" in how:
    os.fork()
    os.fork()
while True:
    if "sleeps" in how:
        time.sleep(3600)
