"""Unfinished work: what keeps a folder whole, however and whenever a process ends.

files    a file is whole or not there; leftovers of killed processes
locks    one process at a time in a folder
"""
