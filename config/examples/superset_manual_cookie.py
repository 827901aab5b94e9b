"""
For superset_config.py: logged-in browsers through Sluice's cached routes.

Superset's session cookie is opaque to a gateway, so the chart data of a logged-in browser would be refused there
(TOKEN_MISSING). This gives such a browser its own access token in a cookie that goes to the cached paths alone, and lets
Superset accept it there. API clients and embedded pages do not need it.

    from superset_manual_cookie import *        # or paste it
"""
from datetime import timedelta

JWT_TOKEN_LOCATION = ["headers", "cookies"]
JWT_ACCESS_COOKIE_NAME = "access_token"
# The paths below only read, and the cookie is SameSite=Strict and sent to nothing else.
JWT_COOKIE_CSRF_PROTECT = False

# Longer than the usual 15 minutes: a dashboard that only refreshes its charts never passes Superset to get a new one.
_LIFETIME = timedelta(hours=8)
_PATHS = ("/api/v1/chart/data", "/api/v1/datasource")


def FLASK_APP_MUTATOR(app):
    from flask import request, session
    from flask_jwt_extended import create_access_token
    from flask_login import current_user

    @app.after_request
    def access_token_cookie(response):
        leaves = request.path.rstrip("/") == "/logout"
        # With pages only, so that JSON answers stay free of Set-Cookie.
        arrives = response.mimetype == "text/html" and response.status_code == 200 and current_user.is_authenticated
        user = session.get("_user_id")
        for path in _PATHS:
            if leaves:
                response.delete_cookie("access_token", path=path)
            elif arrives and user:
                token = create_access_token(identity=str(user), expires_delta=_LIFETIME)
                response.set_cookie("access_token", token, max_age=_LIFETIME, path=path, httponly=True,
                                    samesite="Strict", secure=request.is_secure)
        return response
