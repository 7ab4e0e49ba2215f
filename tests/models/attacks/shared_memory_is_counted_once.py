"""What must work: one large block, read by many processes that were forked from its owner."""

import os
import time

waits, opens = os.pipe()
block = bytearray(os.urandom(4096)) * (100 << 8)
children = []
for _ in range(8):
    child = os.fork()
    if not child:
        os.close(opens)
        read = sum(block[:: 1 << 12])
        os.read(waits, 1)
        os._exit(0 if read else 1)
    children.append(child)
time.sleep(0.3)  # long enough to be counted, all at once
os.close(opens)
print(sum(os.waitpid(child, 0)[1] for child in children))
