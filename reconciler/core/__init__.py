"""Values and decisions. No file, no network, no clock, no random number, no environment variable.

Everything here is a pure function of its arguments: the same input gives the
same bytes on any machine and under any hash seed. What belongs here: what an
environment *is* for us, how two of them differ, in which order changes go.
What does not: where specs come from, how a platform talks, what a crash
leaves behind.
"""
