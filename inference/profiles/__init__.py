"""The profiled −log L: fits with parameters held, their exact derivatives, and the lowest of its valleys."""
