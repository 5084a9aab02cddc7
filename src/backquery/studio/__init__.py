"""The studio: a local page that queries a network, asks it backwards, looks inside and watches it learn."""
