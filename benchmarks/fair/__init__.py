"""The fair baseline: a melt written by hand on the product's own tables, without the engine."""
