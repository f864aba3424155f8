"""Commands of ``pdx`` that have a file of their own: each module registers itself on the app."""
