"""History in an archive, on HDFS or in a directory: Parquet by day and type, for as many readers as there are.

`manifest` says which files count, `publishing` takes over what a data directory has and the archive has not, `merging`
makes few large files of many small ones, `expiry` takes out what is too old, `reading` gives it to reports.
"""
