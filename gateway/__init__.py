"""The edge towards people: HTTP, uploads, live progress. It reaches the modules over the bus only.

``ports``      what it needs from the bus
``settings``   its limits
``errors``     what the bus may fail with, and the refusal every handler raises
``identity``   who a bearer token belongs to
``ids``        which texts may be an id
``problems``   every error as RFC 9457 problem details
``bodies``     what a client sends, and the views it gets back
``uploads``    bytes to disk, disk to the store, the store's object to Video Intake
``tus``        resumable uploads: their state on disk
``jobs``       ordering, finding, cancelling
``recent``     orders accepted a moment ago
``views``      what a caller may see
``approvals``  an admin's answer
``outbox``     the bounded queue of one live connection
``live``       one WebSocket: authentication, channels, heartbeats
``ranges``     the Range header
``media``      streaming from the store
``pages``      the built page, or a line about how to build it
``headers``    security headers on every answer
``guards``     who may call what
``routes_*``   the HTTP handlers, thin
``app``        puts it together and serves it

Nothing here imports the web framework until ``app`` or a ``routes_*`` module is asked for: it is
slow to import, and the command line wants to start at once.
"""
