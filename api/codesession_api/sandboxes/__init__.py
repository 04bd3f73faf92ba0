"""Where sandboxes come from: children of this process (`local`) or pods (`kubernetes`)."""
