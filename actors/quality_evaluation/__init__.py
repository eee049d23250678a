"""Step 7: how good a result is, as a vector, and where it ranks in its job."""
