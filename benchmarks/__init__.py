"""How fast the runtime is, measured side by side with what else one could have used.

``make bench`` runs every group, ``make bench ONLY=hop`` one. ``goals`` names each figure with its
floor, ``<group>.py`` measures it, ``workloads/`` holds what is measured: programs that run in a
process of their own, against a server of their own. ``docs/benchmarks.md`` says how to read it.
"""
