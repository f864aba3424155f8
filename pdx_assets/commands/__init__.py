"""Commands of ``pdx`` that need a module of their own; each registers itself on the app of cli.py."""
