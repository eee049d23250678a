"""Providers translate a task into a graph. They hold no client; ``gpu_agent.agent`` does all I/O.

``adapter``      what every provider can be asked
``declarative``  a provider that is nothing but its record
``parameters``   one value against its rule
``clips``        what is filled in from the clip, shaped as a model wants it
``graphs``       what no graph may do to a host
"""
