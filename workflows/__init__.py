"""Reading ComfyUI graphs, and what a host says of its node classes. Pure; decides nothing.

The registry judges a graph before it is stored, the agent before it is sent. Both read it so.
"""
