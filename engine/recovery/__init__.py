"""Going on with what another call, process or machine left open, and events from outside the loop."""
