// An OpenID provider wearing an Auth0 tenant's paths, parameters and token shapes.
//
// Signing in without a browser, with one cookie jar per user:
//   GET  /authorize?response_type=code&client_id=spa&redirect_uri=…&scope=openid%20read:messages
//        &audience=…&state=…&code_challenge=…&code_challenge_method=S256   -> 303 to /u/login/<uid>
//   POST /u/login/<uid>  username=ada                                      -> 303 to /authorize/<uid>
//   GET  /authorize/<uid>                                                  -> 303 to redirect_uri?code=…
//   POST /oauth/token  grant_type=authorization_code, client_id, code, redirect_uri, code_verifier
//
// With `--exchange AUDIENCE` that API may exchange tokens that were issued for it (RFC 8693), as client `exchange-1`, the
// next as `exchange-2`. Nobody may on behalf of `eve`.
import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { errors, Provider } from 'oidc-provider';

const defaultRedirect = 'http://127.0.0.1:3010/ui/oauth2-redirect.html';
const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    profile: { type: 'string', default: 'auth0' },
    scope: { type: 'string', default: 'read:messages' },
    exchange: { type: 'string', multiple: true, default: [] },
    'redirect-uri': { type: 'string', multiple: true, default: [defaultRedirect] },
  },
});

// Standard output carries one line, and oidc-provider writes its notices there.
console.info = console.error;

const randomId = () => randomBytes(16).toString('base64url');
const loginForm = '<form method="post"><input name="username" required><button>Log in</button></form>';
const day = 24 * 60 * 60;
const apiScopes = options.scope.split(' ');
const userScopes = ['openid', 'profile', 'email'];
const withoutApiScopes = new Set(['auth0|ben', 'machine-unscoped']);

const profiles = {
  auth0: ({ payload: { jti, client_id: azp, ...claims } }, machine) => ({
    header: { typ: 'JWT' },
    payload: { ...claims, azp, gty: machine ? 'client-credentials' : undefined },
  }),
  rfc9068: (token) => token,
};
const profile = profiles[options.profile];
if (!profile) throw new TypeError(`--profile must be one of ${Object.keys(profiles).join(', ')}`);

function shapeToken(ctx, { kind, aud, scopes }, token) {
  const machine = kind === 'ClientCredentials';
  if (machine) token.payload.sub += '@clients';
  if (ctx.oidc.actor) token.payload.act = ctx.oidc.actor;
  if (scopes.has('openid')) token.payload.aud = [aud, `${ctx.oidc.issuer}userinfo`];
  Object.assign(token, profile(token, machine));
}

function describeApi(ctx, audience, client) {
  const { account, params } = ctx.oidc;
  const machine = params.grant_type === 'client_credentials';
  const granted = withoutApiScopes.has(account?.accountId ?? client.clientId) ? [] : apiScopes;
  // A machine that names no scope gets all it was granted; oidc-provider would give none.
  if (machine) params.scope ??= granted.join(' ');
  return {
    scope: [...(machine ? [] : userScopes), ...granted].join(' '),
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

// Auth0 asks no consent for first-party applications; describeApi decides what a user really gets.
async function grantWithoutConsent({ oidc }) {
  const grant = new oidc.provider.Grant({
    accountId: oidc.account.accountId,
    clientId: oidc.client.clientId,
  });
  grant.addOIDCScope(oidc.requestParamOIDCScopes);
  for (const [audience, { scope }] of Object.entries(oidc.resourceServers)) {
    grant.addResourceScope(audience, scope);
  }
  await grant.save();
  return grant;
}

const signingKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
const exchangers = new Map(options.exchange.map((audience, index) => [`exchange-${index + 1}`, audience]));

function subjectOf(token) {
  const [header, payload, signature] = token.split('.');
  const signed = signature && verify(
    'RSA-SHA256',
    `${header}.${payload}`,
    createPublicKey({ key: signingKey, format: 'jwk' }),
    Buffer.from(signature, 'base64url'),
  );
  const claims = signed ? JSON.parse(Buffer.from(payload, 'base64url')) : {};
  if (!(claims.exp > Date.now() / 1000)) throw new errors.InvalidRequest('the subject token is not good');
  return claims;
}

async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  const subject = subjectOf(params.subject_token ?? '');
  const scopes = (params.scope ?? '').split(' ');
  if (params.subject_token_type !== accessToken || ![subject.aud].flat().includes(exchangers.get(client.clientId))) {
    throw new errors.InvalidRequest('the subject token is not for this client');
  }
  // What it says of the token must reach nobody.
  if (subject.sub === 'auth0|eve') throw new errors.AccessDenied(`not on behalf of ${params.subject_token}`);
  if (!scopes.every((scope) => apiScopes.includes(scope))) throw new errors.InvalidScope('no such scope', params.scope);
  const info = { ...describeApi(ctx, params.audience, client), scope: scopes.join(' ') };
  const token = new provider.AccessToken({ accountId: subject.sub, client, gty: 'exchange', scope: info.scope });
  token.resourceServer = new provider.ResourceServer(params.audience, info);
  ctx.oidc.actor = { sub: client.clientId, ...(subject.act && { act: subject.act }) };
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: accessToken,
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: info.scope,
  };
}

const machineClient = (client_id, grant_type = 'client_credentials') => ({
  client_id,
  client_secret: 'machine-secret',
  grant_types: [grant_type],
  response_types: [],
  redirect_uris: [],
});
const spaClient = {
  client_id: 'spa',
  redirect_uris: options['redirect-uri'],
  token_endpoint_auth_method: 'none',
};

const configuration = {
  jwks: { keys: [{ ...signingKey, kid: randomId(), use: 'sig', alg: 'RS256' }] },
  routes: {
    authorization: '/authorize',
    token: '/oauth/token',
    userinfo: '/userinfo',
    jwks: '/.well-known/jwks.json',
  },
  clients: [
    machineClient('machine'),
    machineClient('machine-unscoped'),
    ...[...exchangers.keys()].map((name) => machineClient(name, tokenExchange)),
    spaClient,
  ],
  clientBasedCORS: (ctx, origin, client) => client.redirectUris.some((uri) => new URL(uri).origin === origin),
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  loadExistingGrant: grantWithoutConsent,
  interactions: { url: (ctx, { uid }) => `/u/login/${uid}` },
  cookies: { keys: [randomId()] },
  ttl: { AccessToken: day, ClientCredentials: day },
  extraParams: ['audience'],
  formats: { customizers: { jwt: shapeToken } },
  // The default error page loads a font from the network.
  renderError: (ctx, error) => { ctx.body = error; },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    rpInitiatedLogout: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: ({ oidc }) => oidc.params.audience ?? oidc.body?.audience,
      getResourceServerInfo: describeApi,
      useGrantedResource: () => true,
    },
  },
};

const server = createServer().listen(Number(options.port), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}/`;
const provider = new Provider(issuer, configuration);
const exchangeParams = ['audience', 'scope', 'subject_token', 'subject_token_type'];
if (exchangers.size) provider.registerGrantType(tokenExchange, exchange, exchangeParams);

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/u/login/')) return next();
  if (ctx.method === 'GET') return void (ctx.body = loginForm);
  const form = new URLSearchParams(await text(ctx.req));
  const login = { accountId: `auth0|${form.get('username')}` };
  await provider.interactionFinished(ctx.req, ctx.res, { login, consent: {} });
});

server.on('request', provider.callback());
process.on('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
