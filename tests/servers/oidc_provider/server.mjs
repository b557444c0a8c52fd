// oidc-provider as the tests need it: client_credentials with token lives chosen by client, introspection, revocation.
//
//   PORT        where to listen on 127.0.0.1        ISSUER   its public address (a counting proxy in front of it)
//   STATS_PORT  GET / answers {"issued": {CLIENT: n}, "refused": n, "ready": true}
//   CLIENTS     JSON: [{"id", "secret", "method", "lives_s"}, ...]
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { PORT, STATS_PORT, ISSUER, CLIENTS } = process.env;
const SCOPES = ['people.read', 'people.write'];
const clients = JSON.parse(CLIENTS);
const lives = new Map(clients.map((client) => [client.id, client.lives_s]));

const provider = new Provider(ISSUER, {
  clients: clients.map(({ id, secret, method }) => ({
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: method,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    scope: SCOPES.join(' '),
  })),
  scopes: SCOPES,
  ttl: { ClientCredentials: (_ctx, _token, client) => lives.get(client.clientId) },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    devInteractions: { enabled: false },
  },
});
provider.proxy = true;

const stats = { issued: {}, refused: 0, ready: true };
provider.on('grant.success', (ctx) => {
  const id = ctx.oidc.client.clientId;
  stats.issued[id] = (stats.issued[id] ?? 0) + 1;
});
provider.on('grant.error', () => { stats.refused += 1; });
provider.on('server_error', (_ctx, error) => { console.error(error); });

createServer(provider.callback()).listen(Number(PORT), '127.0.0.1', () => {
  createServer((_request, response) => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(stats));
  }).listen(Number(STATS_PORT), '127.0.0.1');
});
