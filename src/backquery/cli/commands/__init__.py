"""The commands, one file each; none of them imports another."""
