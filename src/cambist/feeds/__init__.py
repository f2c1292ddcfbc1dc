"""The feeds: what each recipient is told, in numbers of its own."""
