"""The GPU edge: the agent beside each ComfyUI, the provider adapters, and the embedded renderer."""
