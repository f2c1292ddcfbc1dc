"""The simulated outside of a demo house: the market behind its venues, other dealers, clients that trade, and what everyone begins with."""
