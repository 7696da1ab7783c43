"""The other ways to the same answer, and how they are asked."""
