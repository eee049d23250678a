"""Module 9: tells users what happened, and asks an admin before anything is published.

``core``      what a user is told, in which words
``ports``     the approval queue and the in-app messages
``postgres``  both, in Postgres
``answers``   the queue and the messages, for whoever looks
``actor``     the shell
"""
