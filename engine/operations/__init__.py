"""One room per kind of operation: what the engine does in each of its states."""
