"""Pages of agents, chat and the waiting inbox."""

from django.urls import path

from apps.agents import keep_views, session_views, trial_views, turn_views, views, waiting_views

app_name = "agents"
SESSION = "chat/<str:agent_id>/<str:session_id>/"
TURN = f"{SESSION}turn/<str:turn_id>/"

urlpatterns = [
    path("agents/", views.agent_list, name="agent-list"),
    path("agents/new/", views.agent_new, name="agent-new"),
    path("agents/check/", views.agent_check, name="agent-check"),
    path("agents/try/<str:key>/", trial_views.trial_turns, name="trial"),
    path("agents/try/<str:key>/say/", trial_views.trial_say, name="trial-say"),
    path("agents/<str:agent_id>/", views.agent_detail, name="agent-detail"),
    path("agents/<str:agent_id>/edit-copy/", views.agent_copy, name="agent-copy"),
    path("agents/<str:agent_id>/delete/", views.agent_delete, name="agent-delete"),
    path("chat/", session_views.chat, name="chat"),
    path("chat/<str:agent_id>/", session_views.agent_chat, name="agent-chat"),
    path("chat/<str:agent_id>/new/", session_views.session_new, name="session-new"),
    path("chat/<str:agent_id>/sessions/", session_views.session_list, name="session-list"),
    path(SESSION, session_views.session_detail, name="session-detail"),
    path(f"{SESSION}turns/", session_views.session_turns, name="session-turns"),
    path(f"{SESSION}side/", session_views.session_side, name="session-side"),
    path(f"{SESSION}rename/", session_views.session_rename, name="session-rename"),
    path(f"{SESSION}delete/", session_views.session_delete, name="session-delete"),
    path(f"{SESSION}send/", turn_views.send, name="turn-send"),
    path(f"{SESSION}stop/", turn_views.stop, name="turn-stop"),
    path(f"{TURN}again/", turn_views.again, name="turn-again"),
    path(f"{TURN}keep/", keep_views.turn_keep, name="turn-keep"),
    path(f"{TURN}answer/", turn_views.answer, name="turn-answer"),
    path(f"{TURN}picture/<str:key>/", session_views.picture, name="turn-picture"),
    path("waiting/", waiting_views.waiting_list, name="waiting"),
    path("waiting/check/", waiting_views.check_json, name="waiting-check"),
    path("waiting/<str:turn_id>/take/", waiting_views.take, name="waiting-take"),
    path("waiting/<str:turn_id>/release/", waiting_views.release, name="waiting-release"),
]
