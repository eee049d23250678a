"""The provider registry: which providers exist, and what each of them is.

``core``      is a record fit to be stored?
``ports``     where records are kept
``postgres``  immutable revisions in Postgres
``memory``    the same in memory, for tests
``shipped``   the catalog that comes with the platform, one JSON file for each provider
``actor``     seeding, the entries of the REGISTRY bucket, ``ListProviders``
"""
