"""Files that are larger than any disk."""

import os
import signal

from attempts import attempt

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = os.open("/work/big", os.O_CREAT | os.O_RDWR)
attempt("truncate", os.ftruncate, file, 1 << 40)
attempt("write behind", os.pwrite, file, b"x", 1 << 40)
attempt("allocate", os.posix_fallocate, file, 0, 1 << 30)
print("done", os.fstat(file).st_size)
