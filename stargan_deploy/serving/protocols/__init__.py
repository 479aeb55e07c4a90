"""What the service speaks: its own requests under /v1, and KServe's protocol under /v2."""
