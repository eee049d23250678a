"""The actor kernel: what every actor gets without a line of its own.

``contract``   what an actor is: hears, decides, says; the two refusals; clock, ids
``follow``     how an answer takes over job, tenant and cause
``wire``       a said thing as subject, headers and JSON
``bus``        publish with acknowledgement, ask, subscribe, on nats-py's core connection
``answering``  one message: decide, say, then acknowledge, put off or bury
``transport``  what the runtime needs of a bus, as a Protocol
``memory``     the bus's twin in memory, with virtual time and faults, for tests
``worker``     the standing pull of one consumer, and the pull of one task per free slot
``envelope``   does a message's subject say what its body says
``ordering``   messages of one job one after the other, where that is declared
``dead_letters`` reads, replays and drops dead letters
``record``     the saga record: state and everything the step says, stored together
``feed``       everything on a subject in order, stored first and then live
``watch``      a local copy of a key-value bucket
``sweeper``    lets sagas speak that stored their words and never said them
``answers``    serves questions over request/reply
``progress``   live progress, which may be lost
``host``       runs actors in one process, restarts what fails
``micro``      what each of them did, for ``nats micro`` and ``effectmesh actors``
``health``     whether a process lives and can work, over HTTP
``provision``  makes the server's streams what ``subjects`` declares
``queries``    SQL by name
``errors``     what can go wrong between an actor and the bus
"""
