"""Amounts of money."""

from decimal import ROUND_HALF_EVEN, Decimal

amount = Decimal
VERSION = "1.4"


def rounded(value):
    """To whole cents; half a cent goes to the even neighbour, as banks do."""
    return value.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
