"""Step 3: from what is in a clip to what is asked of a provider.

``core``        which templates fit, what they may know
``words``       cleaning, quoting, and cutting to a budget of tokens
``parameters``  strength, steps, guidance and seed from the analysis
``ranking``     which of several templates a job gets, and what each has won
``history``     what was asked and how it ended; kept by ``memory`` and ``postgres``
``rewriting``   what a language model is asked, and which answers are taken; asked by ``rewriters``
``files``       the templates as TOML files, tried before they are used
``keeper``      keeps the ranking fresh and forgets what is old
``actor``       the shell
"""
