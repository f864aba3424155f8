"""One module a stage of the graph: what is read, what risk/ makes of it, what is written. No Dagster here.

The Dagster assets of the same names (orchestration/assets/) call these and add what the UI shows.
"""
