"""Parts that several methods share and that are no method themselves."""
