"""The calls of the library: the public engine, its handles, outcomes and reports."""
