"""Programs that are measured: ours and what it is compared with, each in a process of its own.

Each reads its arguments from the command line as JSON and says lines of JSON on its output.
"""
