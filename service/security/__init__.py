"""Who may call, and for whom: tokens, tenants, certificates' names, limits. Knows no gRPC."""
