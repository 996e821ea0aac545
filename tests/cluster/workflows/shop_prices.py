PRICES = {"tea": 3, "cake": 4, "house": 1_000}
