"""The programs of the course's images. Each file stands alone and needs Python's standard library only.

In a container: `python3 /programs/NAME.py`. On a process node the zygote calls the same file's `main()`.
"""
