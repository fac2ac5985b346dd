"""Around the Balancer: saved states, checks of settings, step records, profiling, task sampling."""
