"""Module 5: the saga of a job, from the order to its ending.

``lifecycle``  the table of states, the bounds, the diagram
``turn``       one step under way: what the job becomes and what is said on the way
``core``       ``decide``: a job and a message in, the next step out
``batch``      the test batch: which task goes to which provider
``judging``    results and evaluations in any order, then one winner
``winner``     which candidate is best, and why
``ports``      what the module needs: routes, slots, the index
``postgres``   the slots and the index of jobs
``index``      answers about jobs
``actor``      the shell
"""
