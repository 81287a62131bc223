"""A MongoDB replica set on this machine, for tests and demos."""
