"""The studio's page as one file that needs nothing: see `made.page_of`."""
