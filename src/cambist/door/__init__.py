"""The door: the one way in for requests and facts, and the one way out for events and answers."""
