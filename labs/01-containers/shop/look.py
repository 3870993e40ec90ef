"""A look around from the inside."""

import os
import socket

print("I am process", os.getpid(), "and user", os.getuid(), "on", socket.gethostname())
print("processes I can see:", sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
print("my root directory:", *sorted(os.listdir("/")))
try:
    socket.sethostname("renamed")
    print("I renamed the machine:", socket.gethostname())
except OSError as error:
    print("I may not rename the machine:", error.strerror)
