"""What everything that speaks to Kafka shares: addresses, the client's configuration, its errors in words."""
