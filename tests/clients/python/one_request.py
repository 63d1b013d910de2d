"""One request with httpx or with the SDK on top of it, as the README has it.

one_request.py httpx|sdk URL KEY CERTIFICATE BODY; prints the protocol, the status and the body, a line each.
"""

import json
import ssl
import sys

import httpx
from anthropic import Anthropic, APIStatusError

client, url, key, certificate, body = sys.argv[1:]
trusted = ssl.create_default_context(cafile=certificate)

with httpx.Client(http2=True, verify=trusted, trust_env=False) as connection:
    if client == "httpx":
        response = connection.post(
            url, content=body, headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
    else:
        origin, _, identifier = url.partition("/v1/environments/")
        sdk = Anthropic(api_key=key, base_url=origin, http_client=connection, max_retries=0)
        try:
            updates = sdk.beta.environments.with_raw_response
            response = updates.update(environment_id=identifier, **json.loads(body)).http_response
        except APIStatusError as error:
            response = error.response
    print(response.http_version)
    print(response.status_code)
    print(response.text)
