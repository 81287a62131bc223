"""What callers call: the public engine, its handles, outcomes and reports."""
