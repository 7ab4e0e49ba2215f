"""Stops and kills everything it can name; the worker's number is on stdin."""

import os
import signal

worker = int(input())
for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
    for pid in (1, os.getppid(), worker, -worker):
        try:
            os.kill(pid, number)
            print("sent", number, "to process 1" if pid == 1 or pid == os.getppid() else pid)
        except OSError as error:
            print("denied", number, type(error).__name__)
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
print("done", flush=True)
