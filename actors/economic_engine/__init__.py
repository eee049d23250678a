"""The Economic Engine: keeps the ledger, watches what everything costs, steers the routing.

``core``       which refusal, charge or measurement follows from what the ledger holds
``ports``      the ledger, as the engine needs it
``memory``     the ledger for unit tests and a dry run; obeys the same suite as the real one
``postgres``   the ledger: append-only, double-entry, guarded by the database itself
``actor``      hears commands and results, moves money, says what it did
``answers``    wallets, statements, the audit, the live margins
``tracker``    streaming state over the telemetry: windows, statistics, detectors
``publisher``  when a new routing manifest is due, and what is said about it
"""
