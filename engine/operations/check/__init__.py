"""What a look at stored documents or proofs found."""
