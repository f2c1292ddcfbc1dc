"""The desk: our own trading, its prices, quotes, hedges and inventory."""
