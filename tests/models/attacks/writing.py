"""Writes, renames, removes and changes all over what is shown."""

import os
import sys
import sysconfig

from attempts import attempt

shown = [
    "/",
    "/usr",
    "/usr/lib",
    "/lib",
    "/lib64",
    "/bin",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/home",
]
shown += [sys.prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
shown += [
    os.path.dirname(os.path.realpath(sys.executable)),
    "/packages",
    "/packages/bait",
    "/var",
    "/run",
]
for folder in shown:
    attempt(f"create in {folder}", lambda f=folder: open(f"{f}/planted.pth", "w"))
    attempt(f"make {folder}/planted", lambda f=folder: os.mkdir(f"{f}/planted"))
    attempt(f"link in {folder}", lambda f=folder: os.symlink("/work", f"{f}/planted"))
    attempt(f"mode of {folder}", lambda f=folder: os.chmod(f, 0o777))
    attempt(f"time of {folder}", lambda f=folder: os.utime(f, (0, 0)))
    attempt(f"rename {folder}", lambda f=folder: os.rename(f, "/work/taken"))
    attempt(f"owner of {folder}", lambda f=folder: os.chown(f, os.getuid(), os.getgid()))
module = os.__file__
attempt("append to a module", lambda: open(module, "a"))
attempt("truncate a module", lambda: os.truncate(module, 0))
attempt("remove a module", lambda: os.unlink(module))
attempt("mode of a module", lambda: os.chmod(module, 0o666))
attempt("replace a module", lambda: os.replace("/work/main.py", module))
attempt("open file of a package", lambda: open("/packages/bait/open.py", "a"))
print("done")
