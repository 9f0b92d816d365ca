"""A report as one page: its data, figures and templates."""
