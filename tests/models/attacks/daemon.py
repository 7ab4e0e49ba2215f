"""A process that wants to outlive the run: new sessions, two forks, streams closed."""

import os
import sys
import time

mark = input()
if not os.fork():
    os.setsid()
    if not os.fork():
        os.setsid() if os.getpid() != os.getsid(0) else None
        os.closerange(0, 3)
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(3600)", mark])
    os._exit(0)
time.sleep(0.1)
print("done")
