"""Leaves a file, shared memory and a semaphore for the next run to find, or finds them."""

import os
from multiprocessing import Lock, shared_memory

print("found", os.listdir("/work") != ["main.py"] and sorted(os.listdir("/dev/shm")), flush=True)
block = shared_memory.SharedMemory(name="sandbox_leftover", create=True, size=1 << 12)
block.buf[:4] = b"left"
lock = Lock()
open("/tmp/leftover", "w").close()
os._exit(0)
