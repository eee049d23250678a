"""A small server that speaks ComfyUI's API and runs its model-free core nodes on the CPU.

It stands in for a GPU host in the demo, in tests and on a laptop; agents cannot tell it apart.

``server`` starts it, ``app`` has the routes and ``connections`` the sockets, ``engine`` accepts
prompts and works them one by one, ``validation`` refuses what cannot run, ``execution`` is one run,
``cache`` remembers answers, ``nodes`` and ``pixels`` do the work.

``behaviour`` has the bounds, and switches for tests: ``faults`` strikes where they say,
``pretended`` stands in for models, ``older`` for an older version.
"""
