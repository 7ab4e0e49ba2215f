"""Reads and lists what it must not see; paths on stdin, a line each."""

import os
import sys

from attempts import attempt

for path in sys.stdin.read().splitlines():
    attempt(f"read {path}", lambda path=path: open(path, "rb").read(100))
    attempt(f"list {path}", lambda path=path: os.listdir(path))
print("environment", sorted(os.environ))
print("done")
