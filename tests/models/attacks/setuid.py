"""Starts a program whose file belongs to root and says: run as root."""

import os
import subprocess

path = "/packages/bait/id"
print("mode", oct(os.stat(path).st_mode & 0o7777))
print("effective", subprocess.run([path, "-u"], capture_output=True, text=True).stdout.strip())
copy = "/work/id"
open(copy, "wb").write(open(path, "rb").read())
os.chmod(copy, 0o6755)
print("effective", subprocess.run([copy, "-u"], capture_output=True, text=True).stdout.strip())
