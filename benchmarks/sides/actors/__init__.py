"""The actors of Penstock and of its peers, each doing the same work. Nothing here decides how often or how long.

The work: an actor that adds the number it is sent to its total, and answers the total. Every driver checks the total that it
gets: a message that was lost, doubled or failed is a failed run, not a fast one.
"""
