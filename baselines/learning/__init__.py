"""How networks are trained, whatever the method: steps, state that survives a kill, processes."""
