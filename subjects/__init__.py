"""Every stream, subject, consumer and bucket name, spelled once.

``build``     the subject of a message
``topology``  streams, consumers and buckets as one typed declaration
"""
