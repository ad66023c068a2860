"""Two models or two fits side by side."""
