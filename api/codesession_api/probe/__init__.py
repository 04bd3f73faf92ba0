"""Tries to get out of a sandbox, from within it and through the public API alone, and tells what held.

Whatever a sandbox says is read as a bounded document of a known form, judged by pure functions, and shown
with nothing in it that a terminal would obey. A sandbox that has been taken over can still lie about itself:
the suite is for finding walls that were never there.
"""
