"""Ways out of the work folder: links of both kinds, dots, long paths, folders moved while open."""

import os
import sys

from attempts import attempt

secret = input()
os.symlink(secret, "/work/soft")
os.symlink("/", "/work/root")
os.symlink("/proc/self/root", "/work/self")
os.symlink("../" * 40, "/work/dots")
attempt("soft link", lambda: open("/work/soft").read())
for start in ("/work/root", "/work/self", "/work/dots", "/work/../../..", "../" * 60, "/tmp/.."):
    attempt(f"by {start[:20]}", lambda s=start: open(f"{s}/{secret}").read())
attempt("hard link of a secret", os.link, secret, "/work/hard")
attempt("hard link of the interpreter", os.link, os.path.realpath(sys.executable), "/work/python")
os.mkdir("/work/a")
os.chdir("/work/a")
top = os.getcwd()
held = os.open(".", os.O_RDONLY)
for _ in range(200):  # 50,000 bytes: longer than any path the kernel takes in one piece
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
attempt("path too long", os.chdir, top + ("/" + "d" * 250) * 200)
for _ in range(300):
    os.chdir("..")
attempt("above all", lambda: open(secret.lstrip("/")).read())
os.rename("/work/a", "/work/b")
attempt("by a folder held open", lambda: os.open("../.." + secret, os.O_RDONLY, dir_fd=held))
print("done", os.path.realpath("."))
