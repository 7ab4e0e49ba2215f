"""Another program in its place, with a library loaded before all others."""

import os
import sys

probe = """
import socket, os
for action in (lambda: socket.create_connection(('127.0.0.1', 9), 1), lambda: os.listdir('/proc/1'),
               lambda: os.setuid(0), lambda: open('/planted', 'w'), lambda: os.chroot('/work')):
    try:
        print('ESCAPED', action())
    except OSError:
        pass
print('done', os.environ['LD_PRELOAD'])
"""
os.execve(
    os.path.realpath(sys.executable),
    ["python", "-I", "-S", "-c", probe],
    {"LD_PRELOAD": "libm.so.6", "LD_LIBRARY_PATH": "/work"},
)
