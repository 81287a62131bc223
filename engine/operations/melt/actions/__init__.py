"""Actions of a melt: one for each state that the engine can act in."""
