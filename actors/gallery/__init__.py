"""Module 10: the public catalog. A revision never changes; an effect shows the one it pins.

``core``      ids, addresses and titles
``ports``     the catalog
``postgres``  the catalog in Postgres, where a trigger keeps revisions as they are
``answers``   the gallery, for whoever looks
``actor``     the shell: copies the winner, adds a revision, pins it; unpins what was not paid for
"""
