"""Goodness of fit: how well the fitted model describes the data, by several statistics, asymptotically or with toys."""
