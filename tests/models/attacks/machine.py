"""The machine itself: its clock, its disks, its devices, its power, its kernel."""

import os
import stat
import time

from attempts import attempt, library_call

for kind in (stat.S_IFBLK, stat.S_IFCHR):
    for major, minor in ((8, 0), (254, 0), (1, 1), (259, 0)):
        name = f"/work/node{kind}{major}"
        attempt(f"mknod {name}", os.mknod, name, kind | 0o666, os.makedev(major, minor))
for name in ("sda", "vda", "nvme0n1", "mem", "kmsg", "kvm", "fuse", "ptmx", "tty", "console"):
    for mode in (os.O_RDONLY, os.O_WRONLY):
        attempt(f"open {name}", os.open, f"/dev/{name}", mode)
print("devices", [name for name in ("null", "zero", "random") if os.path.exists(f"/dev/{name}")])
attempt("clock", time.clock_settime, time.CLOCK_REALTIME, 0)
attempt("reboot", library_call, "reboot", 0)
attempt("sync log", library_call, "klogctl", 3, b" " * 100, 100)
attempt("priority", os.nice, -5)
attempt("swap", library_call, "swapon", b"/work/main.py", 0)
print("done")
