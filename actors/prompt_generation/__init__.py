"""Step 3: from what is in a clip to what is asked of a provider."""
