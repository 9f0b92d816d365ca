"""The results of one check, by name."""


def findings(check, settings):
    """Return the findings of a check, by the names of what they are about."""
    return {finding.check: finding for finding in check(settings)}
