"""The provider registry: which providers exist, and what each of them is.

Pure:

``graphs``      reading a graph in API format: nodes, links, who depends on whom
``safety``      what no stored graph may hold
``rules``       is a parameter's rule usable, does a value fit it?
``core``        is a record fit to be stored? what counts as the same content?
``changing``    what becomes of an order: add, edit, switch
``hosts``       what a host says of its node classes
``fitting``     can a host run a graph? everything that is missing or wrong, at once
``wiring``, ``parameters``, ``guessing``, ``importing``   from a graph to a proposed record
``health``      how a provider is, from its agents and its renders

Around it:

``ports``       records, vitals, agents, queues
``postgres``    immutable revisions with a status beside them; ``vitals`` what renders came to
``memory``      the same in memory, for tests
``queues``      a provider's queues on the broker; ``fleet`` the agents that are alive
``shipped``     the catalog that comes with the platform; ``seeding`` stores it
``actor``       orders and renders; ``answers`` the questions; ``checks`` the check each 30 s
``words``       what is said
"""
