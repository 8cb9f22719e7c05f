"""The connections of an event loop and their streams as values, for a screen. It changes nothing, and costs nothing unasked."""

from penstock.session.views._views import ConnectionView, FlowView, flows_of, sessions_here, view_of

__all__ = ["ConnectionView", "FlowView", "flows_of", "sessions_here", "view_of"]
