"""Containers without a cluster, for lab 01: what goes into an image, who runs it here, a registry of one's own.

`runtime()` says who runs containers on this machine: a Docker engine where one answers, otherwise namespaces of one's own.
Notebooks and checks call it; nothing here knows a cluster.
"""

from lab_helpers.containers.base import ENVIRONMENT, PLATFORM, machine_python
from lab_helpers.containers.docker import LABELS
from lab_helpers.containers.image import Image, read, unpack
from lab_helpers.containers.make import tar_of, write_image
from lab_helpers.containers.registry import serve_registry
from lab_helpers.containers.running import Result, Runtime, clean, runtime

__all__ = [
    "ENVIRONMENT",
    "LABELS",
    "PLATFORM",
    "Image",
    "Result",
    "Runtime",
    "clean",
    "machine_python",
    "read",
    "runtime",
    "serve_registry",
    "tar_of",
    "unpack",
    "write_image",
]
