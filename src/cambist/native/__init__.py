"""Programs outside that speak the native record protocol over TCP."""
