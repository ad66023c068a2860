"""Toys: pseudo-experiments thrown from a likelihood, fitted in bulk, and what is inferred with them."""
