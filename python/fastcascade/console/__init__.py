"""The console: pages for those who run a cascade, served by the gateway and by `fastcascade demo`."""
