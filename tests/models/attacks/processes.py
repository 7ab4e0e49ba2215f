"""Looks for other processes, and for itself from outside."""

import os

from attempts import attempt, library_call

for path in ("/proc/self", "/proc/1", f"/proc/{os.getppid()}"):
    for name in ("environ", "exe", "root", "cwd", "fd", "mem", "maps", "status"):
        attempt(f"{path}/{name}", os.stat, f"{path}/{name}")
attempt("proc", lambda: os.listdir("/proc")[0])
attempt("sys", os.listdir, "/sys")
attempt("mount proc", library_call, "mount", b"proc", b"/work", b"proc", 0, None)
attempt("rewrite own program", lambda: open(os.path.realpath("/bin/python"), "r+b"))
seen = []
for pid in range(1, 5000):
    try:
        os.kill(pid, 0)
        seen.append(pid)
    except ProcessLookupError:
        pass
    except PermissionError:
        seen.append(-pid)
print("seen", [pid for pid in seen if abs(pid) not in (1, os.getpid())])
print("done")
