"""Runs side by side: aligned by role and message, and what differs between them."""
