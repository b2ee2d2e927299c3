"""Runs side by side, drawn: the comparison page, the matrix, and their terminal forms."""
