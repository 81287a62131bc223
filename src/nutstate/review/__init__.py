"""Tools for reviewers of machines: kit, lint and exploration."""
