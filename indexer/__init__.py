"""Offline side: the decimals, where they come from and how they are kept."""
