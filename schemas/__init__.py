"""Every message, DTO and API body. Field names are the user's, spelled as in the specification.

``base``       ids, units, the envelope every message has
``video``      what a clip is and what is in it
``tasks``      what is asked of a provider and what it gave
``quality``    the quality vector
``routing``    provider records, the routing manifest, recommendations
``money``      prices, holds, charges
``jobs``       the order for a job and its saga state
``events``     facts, past tense
``commands``   requests to one module, imperative
``asks``       questions answered at once over request/reply
``telemetry``  packed measurements
``progress``   what a person watching a job sees
``logs``       the action-oriented log record
"""
