"""New namespaces and new roots, which would give it rights of their own."""

import os
import socket

from attempts import attempt, library_call, system_call

KINDS = {
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "time": 0x80,
}
clone = 56 if os.uname().machine == "x86_64" else 220
for name, flag in KINDS.items():
    attempt(f"unshare {name}", library_call, "unshare", flag)
    if name != "time":
        attempt(f"clone {name}", system_call, clone, flag | 17, 0, 0, 0, 0)
attempt("clone3", system_call, 435, None, 0)
attempt("setns", library_call, "setns", 0, 0)
attempt("chroot", os.chroot, "/work")
attempt("mount", library_call, "mount", b"tmpfs", b"/work", b"tmpfs", 0, None)
attempt("remount", library_call, "mount", None, b"/", None, 32 | 4096, None)
attempt("umount", library_call, "umount2", b"/work", 2)
attempt("personality", library_call, "personality", 0x0040000)
attempt("hostname", socket.sethostname, "planted")
attempt("newer call", system_call, 467, 0, 0)
attempt("user 0", os.setuid, 0)
attempt("group 0", os.setgid, 0)
attempt("groups", os.setgroups, [0])
print("done", os.getresuid())
