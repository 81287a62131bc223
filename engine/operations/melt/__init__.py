"""Melts: paying a Lightning invoice with ecash. The actions, effects and facts of each state."""
