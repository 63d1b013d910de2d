// Does with the official SDK what a tenant does, and prints a line for each step that came out right.
//
//     node scenario.cjs BASE_URL sandbase|anthropic KEY READERS_KEY LIMITED_KEY
//
// The SDK is found through NODE_PATH. READERS_KEY may list and retrieve alone; LIMITED_KEY has one request a minute.

const assert = require('node:assert/strict');

// The SDK takes credentials from the environment; only the arguments shall count.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('ANTHROPIC_')) delete process.env[name];
}

const { default: Anthropic } = require('@anthropic-ai/sdk');
const { VERSION } = require('@anthropic-ai/sdk/version');

const [baseURL, dialect, key, readersKey, limitedKey] = process.argv.slice(2);

const errorTypes = {
  sandbase: { 400: 'invalid_request', 404: 'not_found' },
  anthropic: { 400: 'invalid_request_error', 404: 'not_found_error' },
}[dialect];
Object.assign(errorTypes, { 401: 'authentication_error', 403: 'permission_error', 429: 'rate_limit_error' });

const environmentsOf = (apiKey) => new Anthropic({ baseURL, apiKey, maxRetries: 0 }).beta.environments;
const environments = environmentsOf(key);
const run = Math.random().toString(36).slice(2);

const ok = (step) => console.log(`ok ${step}`);

/** Expects a promise to be refused with this error, from this cause. */
async function refused(step, promise, errorClass, status, { mentions = [], errorCode } = {}) {
  const error = await promise.then(
    () => assert.fail(`${step}: nothing was thrown`),
    (error) => error,
  );
  assert.ok(error instanceof errorClass, `${step}: ${error}`);
  assert.equal(error.status, status);
  const body = error.error;
  assert.equal(body.type, 'error');
  assert.equal(body.error.type, errorTypes[status]);
  for (const text of mentions) {
    assert.ok(body.error.message.includes(text), `${text} is not in ${body.error.message}`);
  }
  if (errorCode !== undefined) assert.equal(body.error.details.error_code, errorCode);
  assert.ok(error.requestID, 'the answer has no request-id');
  assert.equal(body.request_id, error.requestID);
  ok(step);
}

async function ids(pages) {
  const found = [];
  for await (const environment of pages) found.push(environment.id);
  return found;
}

async function main() {
  const made = await environments.create({
    name: `${run}-first`,
    description: 'Größe ✓',
    config: {
      type: 'cloud',
      networking: { type: 'limited', allowed_hosts: ['api.example.com'], allow_package_managers: true },
      packages: { pip: ['pandas'] },
    },
    metadata: { team: 'data', stage: 'test' },
  });
  assert.match(made.id, /^env_/);
  assert.equal(made.name, `${run}-first`);
  assert.equal(made.description, 'Größe ✓');
  assert.deepEqual(made.config.networking.allowed_hosts, ['api.example.com']);
  assert.equal(made.config.networking.allow_mcp_servers, false);
  assert.deepEqual(made.config.packages.pip, ['pandas']);
  assert.deepEqual(made.config.packages.apt, []);
  assert.deepEqual(made.metadata, { team: 'data', stage: 'test' });
  assert.equal(made.archived_at, null);
  ok('create');

  assert.deepEqual(await environments.retrieve(made.id), made);
  ok('retrieve');

  const updated = await environments.update(made.id, {
    config: { type: 'cloud', packages: { pip: ['pandas', 'numpy'], npm: ['left-pad'] } },
    metadata: { stage: null, owner: 'ada' },
  });
  assert.deepEqual(updated.config.packages.pip, ['pandas', 'numpy']);
  assert.deepEqual(updated.config.packages.npm, ['left-pad']);
  assert.deepEqual(updated.config.networking, made.config.networking);
  assert.deepEqual(updated.metadata, { team: 'data', owner: 'ada' });
  assert.notEqual(updated.updated_at, made.updated_at);
  ok('update keeps what was not sent');

  const emptied = await environments.update(made.id, { config: { type: 'cloud', packages: { npm: [] } } });
  assert.deepEqual(emptied.config.packages.npm, []);
  assert.deepEqual(emptied.config.packages.pip, ['pandas', 'numpy']);
  ok('update empties one list');

  assert.deepEqual((await environments.update(made.id, {})).config, emptied.config);
  ok('update with nothing');

  const more = [];
  for (const number of [0, 1, 2, 3]) {
    more.push((await environments.create({ name: `${run}-${number}` })).id);
  }
  const page = await environments.list({ limit: 2 });
  assert.equal(page.data.length, 2);
  assert.ok(page.next_page, 'a second page was expected');
  const listed = await ids(environments.list({ limit: 2 }));
  assert.equal(new Set(listed).size, listed.length);
  for (const id of [made.id, ...more]) assert.ok(listed.includes(id), 'the pages do not hold all environments');
  ok('list with paging');

  assert.ok((await environments.archive(more[0])).archived_at);
  assert.ok(!(await ids(environments.list({ limit: 1000 }))).includes(more[0]));
  assert.ok((await ids(environments.list({ limit: 1000, include_archived: true }))).includes(more[0]));
  ok('archive');

  for (const id of more) {
    const gone = await environments.delete(id);
    assert.deepEqual([gone.id, gone.type], [id, 'environment_deleted']);
  }
  ok('delete');

  const {
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
  } = Anthropic;
  await refused('a deleted environment is not found', environments.retrieve(more[1]), NotFoundError, 404);
  await refused(
    'an unknown field is a bad request',
    environments.update(made.id, { descripton: 'x' }),
    BadRequestError,
    400,
    { mentions: ['descripton', 'description'], errorCode: 'schema_violation' },
  );
  await refused(
    'the config type cannot change',
    environments.update(made.id, { config: { type: 'self_hosted' } }),
    BadRequestError,
    400,
    { errorCode: 'invalid_config_type_change' },
  );
  await environments.archive(made.id);
  await refused(
    'an archived environment cannot be updated',
    environments.update(made.id, { name: 'x' }),
    BadRequestError,
    400,
    { errorCode: 'environment_archived' },
  );
  await refused(
    'a wrong key is refused',
    environmentsOf('sk-eg-not-a-key').retrieve(made.id),
    AuthenticationError,
    401,
    { mentions: ['API key'] },
  );
  await refused(
    'a key of some operations has no others',
    environmentsOf(readersKey).delete(made.id),
    PermissionDeniedError,
    403,
    { mentions: ['delete'] },
  );
  await environmentsOf(limitedKey).create({ name: `${run}-one` });
  await refused(
    "a plan's limit is told",
    environmentsOf(limitedKey).create({ name: `${run}-two` }),
    RateLimitError,
    429,
    { errorCode: 'tenant_limit' },
  );

  await environments.delete(made.id);
  console.log(`done with anthropic ${VERSION}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
