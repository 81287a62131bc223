"""``python -m nutstate`` is the same as ``nutstate``."""

from .cli import main

if __name__ == "__main__":
    main()
