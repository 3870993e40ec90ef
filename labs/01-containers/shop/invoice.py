"""What three postcards cost. Variables configure it; the total never depends on them."""

import os

import money

VAT = "0.19"

net = money.amount("0.50") * 3
gross = net * (1 + money.amount(VAT))
stage, currency = os.environ.get("STAGE", "nowhere"), os.environ.get("CURRENCY", "EUR")

if os.environ.get("LOG_LEVEL") == "debug":
    print(f"debug: net {net}, VAT {VAT}, before rounding {gross}")
print(f"{stage}: total {money.rounded(gross)} {currency} (money {money.VERSION})")
