// oidc-provider as the tests need it: every grant and client authentication that the library speaks, each client with
// the token life it was given, and people who log in and consent as soon as a browser shows up.
//
//   PORT        where to listen on 127.0.0.1        ISSUER   its public address (a counting proxy in front of it)
//   STATS_PORT  GET / answers {"issued": {CLIENT: n}, "refused": n, "families_revoked": n, "ready": true};
//               DELETE /TOKEN ends that access token alone, where revocation takes a person's whole session along
//   CLIENTS     JSON: [{"id", "secret", "method", "grants", "lives_s", "code_lives_s", "rotates", "jwk",
//               "redirect"}, ...]
//
// /interaction/UID is the person: ?answer=deny refuses, ?scope=A+B consents to those and refuses the others.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { PORT, STATS_PORT, ISSUER, CLIENTS } = process.env;
const SCOPES = ['people.read', 'people.write'];
const PERSON = 'ada';
const clients = JSON.parse(CLIENTS);
const registered = new Map(clients.map((client) => [client.id, client]));
const life = (_ctx, _token, client) => registered.get(client.clientId).lives_s;
const lifeOfCode = (_ctx, _code, client) => registered.get(client.clientId).code_lives_s;

// Rich authorization requests (RFC 9396): nobody may delete, whoever asks.
const granted = (details) => details.map((one) => ({ ...one, actions: one.actions.filter((action) => action !== 'delete') }));
const asked = (params) => JSON.parse(params.authorization_details ?? '[]');

const provider = new Provider(ISSUER, {
  clients: clients.map(({ id, secret, method, grants, jwk, redirect }) => ({
    client_id: id,
    ...(secret && { client_secret: secret }),
    ...(jwk && { jwks: { keys: [jwk] } }),
    token_endpoint_auth_method: method,
    grant_types: grants,
    response_types: grants.includes('authorization_code') ? ['code'] : [],
    redirect_uris: grants.includes('authorization_code') ? [redirect] : [],
    application_type: redirect.startsWith('http://') ? 'native' : 'web',
    scope: SCOPES.join(' '),
    authorization_details_types: ['people'],
  })),
  scopes: SCOPES,
  ttl: { AccessToken: life, ClientCredentials: life, AuthorizationCode: lifeOfCode, DeviceCode: lifeOfCode },
  pkce: { required: () => true },
  rotateRefreshToken: (ctx) => registered.get(ctx.oidc.client.clientId).rotates,
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: () => false,
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['only for tests'] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, indicator) => ({ scope: SCOPES.join(' '), audience: indicator }),
    },
    richAuthorizationRequests: {
      enabled: true,
      types: { people: { validate: () => {} } },
      authorizationDetailsForGrantSource: (ctx) => ctx.oidc.grant.rar,
      authorizationDetailsForAccessToken: (ctx, _token, source) => granted(source?.rar ?? asked(ctx.oidc.params)),
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
    devInteractions: { enabled: false },
  },
});
provider.proxy = true;

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) {
    await next();
    return;
  }
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  ctx.respond = false;
  if (ctx.query.answer === 'deny') {
    await provider.interactionFinished(ctx.req, ctx.res, { error: 'access_denied' });
    return;
  }
  const scope = ctx.query.scope ?? params.scope ?? '';
  const refused = SCOPES.filter((one) => !scope.split(' ').includes(one)).join(' ');
  const grant = new provider.Grant({ accountId: PERSON, clientId: params.client_id });
  grant.addOIDCScope(scope);
  grant.rejectOIDCScope(refused);
  for (const resource of [params.resource ?? []].flat()) {
    grant.addResourceScope(resource, scope);
    grant.rejectResourceScope(resource, refused);
  }
  asked(params).forEach((detail) => grant.addRar(detail));
  const grantId = await grant.save();
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: PERSON }, consent: { grantId } });
});

const stats = { issued: {}, refused: 0, families_revoked: 0, ready: true };
provider.on('grant.success', (ctx) => {
  const id = ctx.oidc.client.clientId;
  stats.issued[id] = (stats.issued[id] ?? 0) + 1;
});
provider.on('grant.error', () => { stats.refused += 1; });
provider.on('grant.revoked', () => { stats.families_revoked += 1; });
provider.on('server_error', (_ctx, error) => { console.error(error); });

createServer(provider.callback()).listen(Number(PORT), '127.0.0.1', () => {
  createServer(async (request, response) => {
    if (request.method === 'DELETE') {
      const token = request.url.slice(1);
      const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
      await found.destroy();
    }
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(stats));
  }).listen(Number(STATS_PORT), '127.0.0.1');
});
