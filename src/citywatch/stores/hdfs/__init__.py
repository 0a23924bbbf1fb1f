"""History on HDFS: Parquet by day and type, for as many readers as there are, and for as long as the city wants.

`manifest` says which files count, `publishing` takes over what a data directory has and the archive has not, `merging`
makes few large files of many small ones, `reading` gives it to reports.
"""
