#!/bin/sh
# The directory of the archive, which is its owner's alone; may run again.
set -eu
hdfs dfsadmin -safemode wait
hdfs dfs -mkdir -p /citywatch
hdfs dfs -chown citywatch /citywatch
hdfs dfs -chmod 700 /citywatch
