"""One request with httpx or with the SDK on a client of its own that speaks HTTP/2, as the README has it.

one_request.py httpx|sdk URL KEY CERTIFICATE BODY; prints the protocol, the status and the body, a line each.
"""

import json
import ssl
import sys

import httpx
from anthropic import Anthropic, APIStatusError, DefaultHttpxClient

client, url, key, certificate, body = sys.argv[1:]
options = {"http2": True, "verify": ssl.create_default_context(cafile=certificate), "trust_env": False}


def by_httpx():
    with httpx.Client(**options) as connection:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return connection.post(url, content=body, headers=headers)


def by_sdk():
    origin, _, identifier = url.partition("/v1/environments/")
    connection = DefaultHttpxClient(**options)
    with Anthropic(api_key=key, base_url=origin, http_client=connection, max_retries=0) as sdk:
        updates = sdk.beta.environments.with_raw_response
        try:
            return updates.update(environment_id=identifier, **json.loads(body)).http_response
        except APIStatusError as error:
            return error.response


response = by_httpx() if client == "httpx" else by_sdk()
print(response.http_version)
print(response.status_code)
print(response.text)
