"""What a learner meets: lessons, exercises, questions, progress, panels, and the room in which a lab is open.

Notebooks reach it through `lab_helpers`, the command line through its modules.
"""
