"""Addresses of the console."""

from django.urls import path

from citywatch.console import auditing, health, images, sign_in, stream, tickets, views
from citywatch.console.api import application

urlpatterns = [
    path("", views.listing, name="alerts"),
    path("alerts/<str:alert>", views.detail, name="alert"),
    path("alerts/<str:alert>/news", views.news, name="news"),
    path("alerts/<str:alert>/act", views.act, name="act"),
    path("alerts/<str:alert>/reveal", views.reveal, name="reveal"),
    path("alerts/<str:alert>/images/<int:number>", images.of_evidence, name="image"),
    path("tickets", tickets.listing, name="tickets"),
    path("tickets/decide", tickets.decide_many, name="decide-tickets"),
    path("tickets/<str:proposal>", tickets.detail, name="ticket"),
    path("tickets/<str:proposal>/decide", tickets.decide, name="decide-ticket"),
    path("tickets/<str:proposal>/reveal", tickets.reveal, name="reveal-ticket"),
    path("tickets/<str:proposal>/image", tickets.image, name="ticket-image"),
    path("audit", auditing.log, name="audit"),
    path("stream", stream.alerts, name="stream"),
    path("sign-in", sign_in.how, name="sign-in"),
    path("sign-in/<str:secret>", sign_in.by_link, name="sign-in-link"),
    path("sign-out", sign_in.leave, name="sign-out"),
    path("healthz", health.healthz, name="healthz"),
    path("metrics", health.metrics, name="metrics"),
    *application.urls(),
]
