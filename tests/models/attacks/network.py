"""Reaches for the servers of the test (ports on stdin), the loopback, names, raw packets."""

import asyncio
import socket
import urllib.request

from attempts import attempt

tcp, udp, address = input().split()
tcp, udp = int(tcp), int(udp)

for host in ("127.0.0.1", "localhost", address):
    attempt(f"tcp {host}", socket.create_connection, (host, tcp), 2)
    attempt(f"http {host}", urllib.request.urlopen, f"http://{host}:{tcp}/", None, 2)
attempt("tcp ipv6", socket.create_connection, ("::1", tcp), 2)
attempt("udp", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", udp)))
attempt("asyncio", lambda: asyncio.run(asyncio.open_connection("127.0.0.1", tcp)))
attempt("name", socket.getaddrinfo, "example.org", 80)
attempt("listen", socket.create_server, ("127.0.0.1", 0))
attempt("raw", socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
attempt("packet", socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
attempt("netlink", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)
attempt("vsock", socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)
attempt("crypto", socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET)
attempt("bluetooth", socket.socket, 31, socket.SOCK_RAW)
print("done")
