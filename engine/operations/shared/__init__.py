"""Steps that more than one kind of operation takes."""
