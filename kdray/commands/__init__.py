"""What the commands do, once the command line is read: one file a command or two."""
