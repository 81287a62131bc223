"""Commands that move money, or take it in."""
