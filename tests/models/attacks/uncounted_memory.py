"""Memory that belongs to no process: memory files, System V segments, message queues."""

import ctypes
import os

from attempts import attempt, library_call, system_call

attempt("memfd", os.memfd_create, "x")
attempt("secret memory", system_call, 447, 0)
attempt("shmget", library_call, "shmget", 0, 1 << 20, 0o1600)
attempt("msgget", library_call, "msgget", 0, 0o1600)
attempt("semget", library_call, "semget", 0, 1, 0o1600)
attempt(
    "mq_open",
    lambda: system_call(240 if os.uname().machine == "x86_64" else 180, b"/x", 66, 0o600, None),
)
attempt("attributes", os.setxattr, "/work/main.py", "user.x", b"x" * 1000)
attempt("locked memory", library_call, "mlockall", 3)
pipes = []
try:
    import fcntl

    while True:
        pipes.append(os.pipe())
        fcntl.fcntl(pipes[-1][1], 1031, 1 << 20)
except OSError:
    print("descriptors", 2 * len(pipes))
print("done", ctypes.sizeof(ctypes.c_long))
