"""Amounts of money."""

from decimal import ROUND_HALF_UP, Decimal as amount

VERSION = "2.0"


def rounded(value):
    """To whole cents; half a cent goes up, as at school."""
    return value.quantize(amount("0.01"), ROUND_HALF_UP)
