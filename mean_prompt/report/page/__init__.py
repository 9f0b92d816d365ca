"""HTML pages of search runs, submissions and evaluations: data, figures and templates."""
