"""The actor kernel: what every actor gets without a line of its own.

``contract``  what an actor is: hears, decides, says; the two refusals; clock, ids
``follow``    how an answer takes over job, tenant and cause
``bus``       publish with acknowledgement, request, subscribe, on nats-py's core connection
``worker``    the standing pull: at-least-once delivery, retries, dead letters, drain
``record``    the saga record: state and everything the step says, stored together
``watch``     a local copy of a key-value bucket
"""
