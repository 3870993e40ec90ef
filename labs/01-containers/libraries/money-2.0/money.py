"""Amounts of money."""

from decimal import ROUND_HALF_UP, Decimal

amount = Decimal
VERSION = "2.0"


def rounded(value):
    """To whole cents; half a cent goes up, as at school."""
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)
