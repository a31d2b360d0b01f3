"""The same scoring over partitions of parquet, in a loop or on a Dask cluster."""
