"""PlugPipe plugins as one may meet them."""
