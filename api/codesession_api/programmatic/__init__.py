"""Programs that call tools: `/exec/programmatic`. The sandbox holds the program, a token holds all else."""
