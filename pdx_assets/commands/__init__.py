"""Commands of ``pdx`` by subject; each module adds its own to the app with ``register``."""
