"""Writes without end to the stream named on stdin, and ignores every signal about it."""

import os
import signal

which, what = input().split()
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
chunk = (b"\0" if what == "nul" else b"\xff\xfe" if what == "garbage" else b"x") * 65536
while True:
    os.write({"stdout": 1, "stderr": 2}[which], chunk)
