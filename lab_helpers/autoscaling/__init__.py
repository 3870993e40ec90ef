"""The course's own cluster autoscaler, to be read: what upstream's decides, in Python. It stands in for a program that cannot
be had where this course is built, and is simpler; `decisions.py` says where.

`decisions.py` decides, `expanders.py` picks one of several ways, `room.py` knows the scheduler's filters, `options.py` has the
flags and the protocol by which node groups come in; `loop.py` is the process around them, `status.py` what it
tells, `groups.py` node groups of the lab's own clusters. It sits above views and below teaching.
"""
