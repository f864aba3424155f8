"""Pure credit risk: polars, numpy and the training libraries. Never dagster, never mlflow."""
