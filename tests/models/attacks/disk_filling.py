"""Fills every folder it can write to: with one file, with many, with none that has bytes."""

import os
import tempfile

folder = tempfile.gettempdir()
written = 0
for n in range(100):
    try:
        with open(f"{folder}/part{n}", "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(1 << 16))
    except OSError as error:
        name = type(error).__name__
print("bytes", written, name, flush=True)
for n in range(100):
    if os.path.exists(f"{folder}/part{n}"):
        os.unlink(f"{folder}/part{n}")
made = 0
try:
    while made < 100_000:
        os.close(os.open(f"/dev/shm/{made}", os.O_CREAT))
        made += 1
except OSError:
    pass
print("files", made)
