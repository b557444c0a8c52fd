"""The core: decides what must change and carries it out through ports.

Pure: no socket, database, file, clock or log.
"""
