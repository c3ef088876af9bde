"""The parts of a soak: a provider, clients, a gateway, and sums."""
