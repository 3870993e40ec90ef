"""A look around from the inside."""

import os
import socket
from pathlib import Path

print("I am process", os.getpid(), "and user", os.getuid(), "on", socket.gethostname())
print("processes I can see:", sorted(int(path.name) for path in Path("/proc").glob("[0-9]*")))
print("my root directory:", *sorted(path.name for path in Path("/").iterdir()))
try:
    socket.sethostname("renamed")
    print("I renamed the machine:", socket.gethostname())
except OSError as error:
    print("I may not rename the machine:", error.strerror)
