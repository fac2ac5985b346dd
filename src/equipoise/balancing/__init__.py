"""What stands around the Balancer: saved states, checks of settings, step records, profiling, task sampling."""
