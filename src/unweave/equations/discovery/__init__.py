"""From data to the text of an equation: sparse regression, then fits of whole courses."""
