"""The staff console: who prices, approves, oversees and stops. A process, a port and a cookie of its own; it reaches the node only through the door."""
