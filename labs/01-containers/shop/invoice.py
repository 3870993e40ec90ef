"""What three postcards cost. Configuration comes from outside, in variables; the sum never depends on it."""

import os

import money

VAT = "0.19"

net = money.amount("0.50") * 3
total = money.rounded(net * (1 + money.amount(VAT)))

if os.environ.get("LOG_LEVEL") == "debug":
    print(f"debug: net {net}, VAT {VAT}, before rounding {net * (1 + money.amount(VAT))}")
print(f"{os.environ.get('STAGE', 'laptop')}: total {total} {os.environ.get('CURRENCY', 'EUR')} (money {money.VERSION})")
