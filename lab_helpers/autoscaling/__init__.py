"""The course's own cluster autoscaler, to be read: what upstream's decides, in Python. It stands in for a program that cannot
be had where this course is built, and is simpler; `decisions.py` says where.

Rooms: `decisions.py` decides, `expanders.py` picks one of several ways, `room.py` knows the scheduler's filters, `options.py` has
the flags and the protocol by which node groups (Auto Scaling groups, say) come in.
"""
