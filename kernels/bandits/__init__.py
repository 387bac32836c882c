"""The arithmetic of learners whose rounds stand beside solves that take less than a millisecond."""
