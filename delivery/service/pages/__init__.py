"""The service's web pages, their JSON twins, and the streams of events that keep them and clients up to date."""

from delivery.service.pages.routes import router

__all__ = ["router"]
