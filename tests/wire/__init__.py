"""A server on the loopback that says what it is told to, in the providers' own words, and breaks off when told to."""
