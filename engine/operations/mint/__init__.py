"""Fundings: ecash issued for a paid invoice. The actions, effects and facts of each state."""
