"""Pages of sign-in and of people, keys and preferences."""

from django.urls import path

from apps.accounts import settings_views, views

app_name = "accounts"
urlpatterns = [
    path("setup/", views.setup, name="setup"),
    path("setup/password/", views.password_check, name="password-check"),
    path("login/", views.sign_in, name="login"),
    path("logout/", views.sign_out, name="logout"),
    path("invite/<str:uid>/<str:token>/", views.invite, name="invite"),
    path("settings/", settings_views.home, name="settings"),
    path("settings/profile/", settings_views.profile, name="profile"),
    path("settings/profile/password/", settings_views.change_password, name="change-password"),
    path("settings/keys/", settings_views.keys, name="keys"),
    path("settings/keys/<int:key_id>/revoke/", settings_views.revoke_key, name="revoke-key"),
    path("settings/users/", settings_views.users, name="users"),
    path("settings/users/<int:user_id>/role/", settings_views.change_role, name="change-role"),
    path("settings/users/<int:user_id>/active/", settings_views.set_active, name="set-active"),
    path("settings/users/<int:user_id>/link/", settings_views.renew_link, name="renew-link"),
]
