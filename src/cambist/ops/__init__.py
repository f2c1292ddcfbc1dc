"""The operations: people, budgets and measures that oversee the house."""
