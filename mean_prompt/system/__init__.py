"""Files, locks, deadlines, durations, text, signals: what every room uses."""
