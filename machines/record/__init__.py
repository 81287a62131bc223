"""A melt that the caller makes itself: hold its sources, record it, or take the hold back."""
