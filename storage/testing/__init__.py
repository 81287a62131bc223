"""For tests of stores and of programs that embed the engine."""
