"""What an observation takes, before it begins: this machine, how weights are held, memory, time and disk."""
