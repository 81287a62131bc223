"""What a look at the store found."""
