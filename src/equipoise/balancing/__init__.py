"""Parts of the Balancer and tools for it: saved states, settings, step records, profiling, task sampling."""
