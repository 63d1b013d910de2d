// One request with Node's own fetch or with the SDK on top of it, as the README has it.
//
// one_request.cjs fetch|SDK URL KEY BODY, where SDK is its directory and NODE_EXTRA_CA_CERTS names the certificate; prints
// the protocol, the status and the body, a line each. Node's fetch speaks HTTP/1.1 alone.

const [client, url, key, body] = process.argv.slice(2);

async function byFetch() {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body });
  return [response.status, await response.text()];
}

async function bySdk() {
  const { Anthropic, APIError } = require(`${client}/node_modules/@anthropic-ai/sdk`);
  const [origin, id] = url.split('/v1/environments/');
  const sdk = new Anthropic({ apiKey: key, baseURL: origin, maxRetries: 0 });
  try {
    const response = await sdk.beta.environments.update(id, JSON.parse(body)).asResponse();
    return [response.status, await response.text()];
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    return [error.status, JSON.stringify(error.error)];
  }
}

(client === 'fetch' ? byFetch() : bySdk()).then(([status, text]) => console.log(`HTTP/1.1\n${status}\n${text}`));
