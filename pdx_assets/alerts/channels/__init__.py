"""The ways a message can go: one file a channel, and what they have in common in base.py."""
