"""Connects to unix sockets of the host: one without and one with a path (stdin)."""

import socket

from attempts import attempt

for name in input().split():
    name = "\0" + name[1:] if name.startswith("@") else name
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        attempt(f"unix {name!r}", socket.socket(socket.AF_UNIX, kind).connect, name)
ours, theirs = socket.socketpair()  # among themselves programs may talk
ours.send(b"done")
print(theirs.recv(4).decode())
