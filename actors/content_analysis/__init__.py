"""Step 2: what is in a clip. Measured, never guessed."""
