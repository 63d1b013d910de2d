"""Does with the official SDK what a tenant does, and prints a line for each step that came out right.

    scenario.py BASE_URL sandbase|anthropic KEY READERS_KEY LIMITED_KEY

READERS_KEY may list and retrieve alone; LIMITED_KEY has one request a minute.
"""

import os
import sys
import uuid
from contextlib import contextmanager

# The SDK takes credentials, and its HTTP client proxies, from the environment; only the arguments shall count.
for variable in list(os.environ):
    if variable.startswith("ANTHROPIC_") or variable.lower().endswith("_proxy"):
        del os.environ[variable]

import anthropic

BASE_URL, DIALECT, API_KEY, READERS_KEY, LIMITED_KEY = sys.argv[1:]

ERROR_TYPES = {
    "sandbase": {400: "invalid_request", 404: "not_found"},
    "anthropic": {400: "invalid_request_error", 404: "not_found_error"},
}[DIALECT] | {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def ok(step):
    print(f"ok {step}", flush=True)


def equal(came, expected):
    assert came == expected, f"expected {expected!r}, came {came!r}"


@contextmanager
def refused(step, exception, status, mentions=(), error_code=None):
    """Expects the block to be refused with this exception, from this cause."""
    try:
        yield
    except exception as error:
        body = error.body
        equal(error.status_code, status)
        equal(body["type"], "error")
        equal(body["error"]["type"], ERROR_TYPES[status])
        for text in mentions:
            assert text in body["error"]["message"], f"{text!r} is not in {body['error']['message']!r}"
        if error_code is not None:
            equal(body["error"]["details"]["error_code"], error_code)
        assert error.request_id, "the answer has no request-id"
        equal(body["request_id"], error.request_id)
    else:
        raise AssertionError(f"{step}: nothing was raised")
    ok(step)


def environments_of(key):
    return anthropic.Anthropic(base_url=BASE_URL, api_key=key, max_retries=0).beta.environments


environments = environments_of(API_KEY)
run = uuid.uuid4().hex[:8]

# create
made = environments.create(
    name=f"{run}-first",
    description="Größe ✓",
    config={
        "type": "cloud",
        "networking": {"type": "limited", "allowed_hosts": ["api.example.com"], "allow_package_managers": True},
        "packages": {"pip": ["pandas"]},
    },
    metadata={"team": "data", "stage": "test"},
)
assert made.id.startswith("env_"), made.id
equal(made.type, "environment")
equal(made.name, f"{run}-first")
equal(made.description, "Größe ✓")
equal(made.config.type, "cloud")
equal(made.config.networking.allowed_hosts, ["api.example.com"])
equal(made.config.networking.allow_mcp_servers, False)
equal(made.config.networking.allow_package_managers, True)
equal(made.config.packages.pip, ["pandas"])
equal(made.config.packages.apt, [])
equal(made.config.packages.type, "packages")
equal(made.metadata, {"team": "data", "stage": "test"})
equal(made.archived_at, None)
ok("create")

# retrieve
equal(environments.retrieve(made.id).to_dict(), made.to_dict())
ok("retrieve")

# update
updated = environments.update(
    made.id,
    config={"type": "cloud", "packages": {"pip": ["pandas", "numpy"], "npm": ["left-pad"]}},
    metadata={"stage": None, "owner": "ada"},
)
equal(updated.config.packages.pip, ["pandas", "numpy"])
equal(updated.config.packages.npm, ["left-pad"])
equal(updated.config.networking.allowed_hosts, ["api.example.com"])
equal(updated.metadata, {"team": "data", "owner": "ada"})
equal(updated.description, "Größe ✓")
assert updated.updated_at != made.updated_at, "updated_at did not move"
equal(updated.created_at, made.created_at)
ok("update keeps what was not sent")

emptied = environments.update(made.id, config={"type": "cloud", "packages": {"npm": []}})
equal(emptied.config.packages.npm, [])
equal(emptied.config.packages.pip, ["pandas", "numpy"])
ok("update empties one list")

untouched = environments.update(made.id)
equal(untouched.config.to_dict(), emptied.config.to_dict())
equal(untouched.metadata, emptied.metadata)
ok("update with nothing")

# list
more = [environments.create(name=f"{run}-{number}").id for number in range(4)]
page = environments.list(limit=2)
equal(len(page.data), 2)
assert page.next_page, "a second page was expected"
listed = [environment.id for environment in environments.list(limit=2)]
equal(len(listed), len(set(listed)))
assert set(listed) >= {made.id, *more}, "the pages do not hold all environments"
ok("list with paging")

# archive
archived = environments.archive(more[0])
assert archived.archived_at, "archived_at is not set"
equal(environments.archive(more[0]).id, more[0])
assert more[0] not in [environment.id for environment in environments.list(limit=1000)]
assert more[0] in [environment.id for environment in environments.list(limit=1000, include_archived=True)]
ok("archive")

# delete
for environment_id in more:
    gone = environments.delete(environment_id)
    equal((gone.id, gone.type), (environment_id, "environment_deleted"))
ok("delete")

# refused
with refused("a deleted environment is not found", anthropic.NotFoundError, 404):
    environments.retrieve(more[1])

with refused("an unknown environment is not found", anthropic.NotFoundError, 404):
    environments.update("env_01AAAAAAAAAAAAAAAAAAAAAA", name="x")

with refused(
    "an unknown field is a bad request",
    anthropic.BadRequestError,
    400,
    mentions=["descripton", "description"],
    error_code="schema_violation",
):
    environments.update(made.id, extra_body={"descripton": "x"})

with refused(
    "an unknown config type is a bad request",
    anthropic.BadRequestError,
    400,
    mentions=["config.type", "cloud", "self_hosted"],
    error_code="schema_violation",
):
    environments.update(made.id, config={"type": "clod"})

with refused(
    "a missing config type is a bad request",
    anthropic.BadRequestError,
    400,
    mentions=["config.type is required"],
    error_code="schema_violation",
):
    environments.update(made.id, config={"packages": {"pip": []}})

with refused(
    "a misspelt network field is a bad request",
    anthropic.BadRequestError,
    400,
    mentions=["config.networking.allowed_host ", "allowed_hosts"],
    error_code="schema_violation",
):
    environments.update(
        made.id, config={"type": "cloud", "networking": {"type": "limited", "allowed_host": ["a.com"]}}
    )

with refused(
    "the config type cannot change", anthropic.BadRequestError, 400, error_code="invalid_config_type_change"
):
    environments.update(made.id, config={"type": "self_hosted"})

with refused("a limit out of range is a bad request", anthropic.BadRequestError, 400, mentions=["limit"]):
    environments.list(limit=1001)

environments.archive(made.id)
with refused(
    "an archived environment cannot be updated", anthropic.BadRequestError, 400, error_code="environment_archived"
):
    environments.update(made.id, name="x")

with refused("a wrong key is refused", anthropic.AuthenticationError, 401, mentions=["API key"]):
    environments_of("sk-eg-not-a-key").retrieve(made.id)

with refused("a key of some operations has no others", anthropic.PermissionDeniedError, 403, mentions=["delete"]):
    environments_of(READERS_KEY).delete(made.id)

limited = environments_of(LIMITED_KEY)
limited.create(name=f"{run}-one")
with refused("a plan's limit is told", anthropic.RateLimitError, 429, error_code="tenant_limit"):
    limited.create(name=f"{run}-two")

environments.delete(made.id)
print(f"done with anthropic {anthropic.__version__}")
