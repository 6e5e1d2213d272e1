"""A file that cannot be read; Airflow only tries because the words airflow and dag are in it."""

raise RuntimeError("on purpose")
