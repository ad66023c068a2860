"""The exact likelihood of a HistFactory model: value, gradient, Hessian, and the fit that ends with a certificate."""
