// Key lookup, JSON Schema by Ajv, header swap, undici to the upstream: what a team writes that puts a service of its own
// in front. server.cjs PORT UPSTREAM UPSTREAM_KEY KEY

const fastify = require('fastify');
const { Pool } = require('undici');

const [port, upstreamPort, upstreamKey, key] = process.argv.slice(2);
const tenants = new Map([[key, 'acme']]);
const upstream = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections: 128, pipelining: 1 });
const strings = { type: ['array', 'null'], items: { type: 'string' } };

const environment = {
  type: 'object',
  additionalProperties: false,
  properties: {
    name: { type: 'string' },
    description: { type: ['string', 'null'] },
    metadata: { type: ['object', 'null'], additionalProperties: { type: ['string', 'null'] } },
    config: {
      type: ['object', 'null'],
      additionalProperties: false,
      properties: {
        type: { enum: ['cloud', 'self_hosted'] },
        networking: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: {
            type: { enum: ['limited', 'unrestricted'] },
            allowed_hosts: strings,
            allow_mcp_servers: { type: 'boolean' },
            allow_package_managers: { type: 'boolean' },
          },
        },
        packages: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: {
            type: { const: 'packages' },
            apt: strings, cargo: strings, gem: strings, go: strings, npm: strings, pip: strings,
          },
        },
      },
    },
  },
};

const error = (type, message) => ({ type: 'error', error: { type, message } });
// Unknown fields are faults here, where Fastify would drop them.
const app = fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: false, allErrors: false } } });

app.addHook('onRequest', async (request, reply) => {
  const token = request.headers.authorization?.replace(/^Bearer /, '') ?? request.headers['x-api-key'];
  if (!tenants.has(token)) return reply.code(401).send(error('authentication_error', 'unknown key'));
});

app.setErrorHandler((fault, _request, reply) =>
  reply.code(fault.statusCode ?? 500).send(error(fault.statusCode < 500 ? 'invalid_request' : 'api_error', fault.message)),
);

async function forward(request, reply) {
  const headers = {
    'x-api-key': upstreamKey,
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'managed-agents-2026-04-01',
    'content-type': 'application/json',
  };
  const body = request.body === undefined ? undefined : JSON.stringify(request.body);
  const answer = await upstream.request({ method: request.method, path: request.url, headers, body });
  reply.code(answer.statusCode).header('content-type', 'application/json');
  return reply.send(await answer.body.text());
}

app.get('/v1/environments/:id', forward);
app.post('/v1/environments/:id', { schema: { body: environment } }, forward);
app.listen({ port: Number(port), host: '127.0.0.1' });
