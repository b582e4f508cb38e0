"""Forms of the embedded model: one file each with its network, processor, prompt and special tokens."""
