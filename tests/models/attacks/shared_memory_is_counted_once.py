"""What must work: one large block, read by many processes that were forked from its owner."""

import os

block = bytearray(os.urandom(4096)) * (100 << 8)
children = []
for _ in range(8):
    child = os.fork()
    if not child:
        os._exit(0 if sum(block[:: 1 << 12]) else 1)
    children.append(child)
print(sum(os.waitpid(child, 0)[1] for child in children))
