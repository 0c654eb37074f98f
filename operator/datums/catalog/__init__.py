"""The SQL index over what the buckets hold: search, lineage and links to archived datums. Built with the catalog's own work."""
