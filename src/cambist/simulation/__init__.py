"""The simulation: a seeded fake world that runs the whole house in one thread, with faults and an auditor."""
