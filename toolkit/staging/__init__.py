"""Unfinished work: what keeps a folder whole, however and whenever a process ends.

jobs     a command at work in a folder: lock, plan, units, markers of those that are finished
marks    something is finished: its result, and checksums of its files
checksums  of files, found while they are written
files    a file is whole or not there; leftovers of killed processes; full disks
locks    one process at a time
"""
