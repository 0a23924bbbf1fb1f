"""Real servers from jars of Maven Central, without Docker: for the tests of the cluster, and to try it out."""
