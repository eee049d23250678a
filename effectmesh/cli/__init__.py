"""The command line.

``app``      the commands and their options; imports nothing heavy
``console``  settings, printing, and how an error becomes a message and an exit status
``local``    commands that start or read a stack on this machine
``remote``   commands that talk to a running gateway
``demo``     one clip through all 13 steps
``broker``   streams, consumers and buckets
``videos``, ``qualities``   one file, or results beside their input, without any server; options are
             in ``video_commands`` and ``quality_commands``, what they share in ``files`` (names and
             whole files), ``working`` (progress, interruption) and ``telling_analysis``
``prompts``  templates, and how they do; options in ``prompt_commands``
"""
