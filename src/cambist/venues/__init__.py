"""The venues: other markets, each behind the same port."""
