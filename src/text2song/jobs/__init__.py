"""Jobs as rows: the lifecycle, the runner, and the doorbells that wake it. Knows no feature."""
