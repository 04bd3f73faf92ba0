"""The operator: makes pods, volumes and policies of CodeSessions and CodeEnvironments, and keeps them so."""
