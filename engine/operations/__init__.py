"""One room per kind of operation: its actions, effects and facts."""
