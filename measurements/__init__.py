"""What the texts claim about networks, measured: ``docs/measured.md`` is written from here."""
