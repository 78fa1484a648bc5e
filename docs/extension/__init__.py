"""What the documentation site needs beyond Sphinx: one file per topic, each a Sphinx extension."""
