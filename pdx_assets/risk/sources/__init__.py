"""Places a tape is fetched from before it is read: an object store, a database, a JSON API.

Each is landed as files under the PDx home (landing.py) and then read like any other tape. One module a kind
of place; none knows what a loan is.
"""
