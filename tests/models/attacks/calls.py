"""Calls of the kernel that a hole is usually looked for in, each straight by its number."""

import ctypes
import errno
import sys

from attempts import system_call

numbers = dict(line.split() for line in sys.stdin.read().splitlines())
room = ctypes.create_string_buffer(4096)
for name, number in numbers.items():
    try:
        found = system_call(int(number), room, room, room, 0, 0, 0)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            print("ESCAPED", name, error)  # the kernel looked at it
    else:
        print("ESCAPED", name, found)
print("done")
