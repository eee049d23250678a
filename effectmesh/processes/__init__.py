"""What runs in a process of its own, each started by ``effectmesh run NAME``.

``common``    signals, logging, the event loop
``copies``    the local copies of buckets they read from
``actors``    the ten modules
``gateway``   HTTP and WebSocket
``agent``     one GPU agent beside one ComfyUI host
``renderer``  the embedded renderer
"""
