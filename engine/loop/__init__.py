"""The hall of every operation: decide, commit, log, act, and take the answer as the next event."""
