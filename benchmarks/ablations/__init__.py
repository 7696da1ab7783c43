"""Indexes that lack a part; see ablation.py."""
