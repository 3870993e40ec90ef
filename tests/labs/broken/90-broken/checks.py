"""Checks that are wrong on purpose."""

from lab_helpers import CheckFailed


def too_kind(lab):
    """Passes whatever was done."""


def vague(lab):
    raise CheckFailed("The sun is missing.")


def hopeless(lab):
    raise CheckFailed("Never.")


def buggy(lab):
    return {}["nothing"]
