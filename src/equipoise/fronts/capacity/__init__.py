"""An experiment: does a front become convex, and does it dominate, as the network grows?"""
