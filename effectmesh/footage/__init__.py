"""Looking at files for the command line, at arm's length.

``jobs``    what a child is asked and what it answers
``child``   the child process, and ``work`` what it does there
``asking``  starts one, and kills it when nobody waits for it any more
``names``   names of files as they may be shown
"""
