"""How servers of a cluster are reached: addresses, secrets and errors that several adapters share."""
