"""The command line: the third edge beside API and worker. Imports little, so that help is there at once.

A folder for each command: its `command.py` says what can be typed, and imports what does the work only
when it is called. What all commands share stands beside the folders.
"""
