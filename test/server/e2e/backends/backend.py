"""A backend in Python, with nothing but the standard library. Arguments: the URL of the API, its key, and what to do."""

import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.request

url, key, action = sys.argv[1:4]


def call(method, params):
    headers = {"Content-Type": "application/json", "Authorization": f"apikey {key}"}
    request = urllib.request.Request(f"{url}/{method}", json.dumps(params).encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(user, secret):
    parts = {"typ": "JWT", "alg": "HS256"}, {"sub": user, "exp": int(time.time()) + 3600, "info": {"name": "Ada"}}
    signed = b".".join(base64url(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64url(signature)).decode()


def publish():
    return [
        call("publish", {"channel": "news", "data": {"text": "Grüße 😀", "big": 9007199254740993}}),
        call("publish", {"channel": "news", "data": "once", "idempotency_key": "k"}),
        call("publish", {"channel": "news", "data": "once", "idempotency_key": "k"}),
        call("broadcast", {"channels": ["news", "talks", "unknown:x"], "data": {"to": "all"}}),
        call(
            "batch",
            {
                "commands": [
                    {"publish": {"channel": "talks", "data": 1}},
                    {"publish": {"channel": "talks", "data": 2}},
                    {"presence_stats": {"channel": "news"}},
                ]
            },
        ),
    ]


def read():
    return [
        call("presence", {"channel": "news"}),
        call("presence_stats", {"channel": "news"}),
        call("history", {"channel": "news", "limit": -1}),
        call("info", {}),
    ]


actions = {
    "token": lambda: token("42", sys.argv[4]),
    "publish": publish,
    "read": read,
    "disconnect": lambda: call("disconnect", {"user": "42", "disconnect": {"code": 4500, "reason": "banned"}}),
    "wrong": lambda: [call("publish", {"channel": "news"}), call("publish", {"channel": "unknown:x", "data": 1})],
}
print(json.dumps(actions[action]()))
