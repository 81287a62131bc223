"""Effects of a melt: the writes of its transitions."""
