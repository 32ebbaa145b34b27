"""Code shared by all scripts, and all checks of user settings."""
