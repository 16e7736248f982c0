"""How dates are written where a page does not say so itself: short, and read the same on both sides of an ocean."""
