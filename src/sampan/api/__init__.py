"""HTTP: routes, and a module per resource from wire to engine."""
