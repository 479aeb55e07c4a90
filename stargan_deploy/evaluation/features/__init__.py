"""Networks that turn images into features: what distances and identities are measured on."""
