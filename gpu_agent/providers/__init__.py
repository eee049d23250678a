"""Providers translate a task into a graph. They hold no client; ``gpu_agent.agent`` does all I/O.

``declarative``  a provider that is nothing but its record
"""
