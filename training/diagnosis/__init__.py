"""What a recurrent network does with time: gradients back through it, gates, memory, recurrent weights."""
